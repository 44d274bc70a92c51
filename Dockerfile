# One image holds all five binaries; compose.yaml says which one a service runs.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# Static, so that the binaries run on any Linux. The grammars need a C compiler,
# which this image has.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=1 go build -trimpath -tags netgo,osusergo \
      -ldflags "-s -w -linkmode external -extldflags -static" -o /out/ ./cmd/...

FROM debian:bookworm-slim
# The connector fetches with the git command line, over https, http and ssh.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git openssh-client \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /usr/local/bin/
# A user without a name, a home or a shell; the root file system may be read-only.
USER 65532:65532
ENV HOME=/tmp
WORKDIR /tmp
CMD ["hub", "--help"]

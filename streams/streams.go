// Package streams holds the native JetStream JSON of every stream, consumer and
// bucket in its one-server form, so that the hub and the nats command line tool
// read the very same files. <STREAM>.json is a stream (OBJ_<BUCKET>.json the one
// behind an Object Store bucket), <STREAM>.<durable>.json a consumer of it.
package streams

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

//go:embed *.json
var files embed.FS

// Default is the namespace that the files are written in.
const Default = "hub"

// Bucket is the Object Store bucket of the snapshots, in namespace ns.
func Bucket(ns string) string { return strings.ToUpper(ns) + "_SNAPSHOTS" }

// Name is the name of a stream such as EVENTS in namespace ns.
func Name(ns, stream string) string { return strings.ToUpper(ns) + "_" + stream }

// Consumer is a durable and the stream that it reads.
type Consumer struct {
	Stream string
	Config jetstream.ConsumerConfig
}

// Load decodes every file for namespace ns. Unknown members are refused: a
// misspelt limit would otherwise be no limit.
func Load(ns string) ([]jetstream.StreamConfig, []Consumer, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, nil, err
	}
	var all []jetstream.StreamConfig
	var consumers []Consumer
	for _, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		raw = rename(raw, ns)
		stream, _, isConsumer := strings.Cut(strings.TrimSuffix(name, ".json"), ".")
		if isConsumer {
			c := Consumer{Stream: string(rename([]byte(stream), ns))}
			if err := strict(raw, &c.Config); err != nil {
				return nil, nil, fmt.Errorf("decode streams/%s: %w", name, err)
			}
			consumers = append(consumers, c)
			continue
		}
		var s jetstream.StreamConfig
		if err := strict(raw, &s); err != nil {
			return nil, nil, fmt.Errorf("decode streams/%s: %w", name, err)
		}
		all = append(all, s)
	}
	return all, consumers, nil
}

func rename(raw []byte, ns string) []byte {
	raw = bytes.ReplaceAll(raw, []byte("HUB_"), []byte(strings.ToUpper(ns)+"_"))
	return bytes.ReplaceAll(raw, []byte(`"hub.`), []byte(`"`+ns+`.`))
}

func strict(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"integrationhub/internal/app"
)

// composeFile is what these tests ask about compose.yaml.
type composeFile struct {
	Services map[string]struct {
		Image         string         `yaml:"image"`
		ContainerName string         `yaml:"container_name"`
		Ports         []any          `yaml:"ports"`
		Command       []string       `yaml:"command"`
		Environment   map[string]any `yaml:"environment"`
		ReadOnly      bool           `yaml:"read_only"`
		Networks      []string       `yaml:"networks"`
		Healthcheck   struct {
			Test []string `yaml:"test"`
		} `yaml:"healthcheck"`
	} `yaml:"services"`
	Configs map[string]struct {
		Content string `yaml:"content"`
	} `yaml:"configs"`
}

var (
	workers = []string{"connector", "analyzer", "deployer"}
	ours    = append([]string{"orchestrator"}, workers...)
)

func readTop(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func compose(t *testing.T) composeFile {
	t.Helper()
	var c composeFile
	if err := yaml.Unmarshal(readTop(t, "compose.yaml"), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComposeFileKeepsToTheSpecification(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("testdata/compose/compose-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := yaml.Unmarshal(readTop(t, "compose.yaml"), &document); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(document); err != nil {
		t.Errorf("%v", err)
	}
	document.(map[string]any)["services"].(map[string]any)["nats"].(map[string]any)["imago"] = "x"
	if schema.Validate(document) == nil {
		t.Error("the schema takes a misspelt key; it proves nothing")
	}
}

func TestComposeServices(t *testing.T) {
	c := compose(t)
	want := append([]string{"nats", "postgres"}, ours...)
	for _, name := range want {
		s, ok := c.Services[name]
		if !ok {
			t.Errorf("there is no service %s", name)
			continue
		}
		if s.ContainerName != "" {
			t.Errorf("%s has a container name, so it cannot be scaled", name)
		}
		if name != "orchestrator" && len(s.Ports) > 0 {
			t.Errorf("%s has host ports %v, so it cannot be scaled, and can be reached from outside", name, s.Ports)
		}
		if len(s.Healthcheck.Test) < 2 || s.Healthcheck.Test[0] != "CMD" {
			t.Errorf("%s has the health check %q, want a command that needs no shell", name, s.Healthcheck.Test)
		}
	}
	if len(c.Services) != len(want) {
		t.Errorf("there are %d services, want %q", len(c.Services), want)
	}
	for _, name := range ours {
		s := c.Services[name]
		if !s.ReadOnly {
			t.Errorf("%s may write to its root file system", name)
		}
		if want := []string{"CMD", name, "healthcheck"}; !slices.Equal(s.Healthcheck.Test, want) || !slices.Equal(s.Command, want[1:2]) {
			t.Errorf("%s runs %q and checks %q, want its own binary for both", name, s.Command, s.Healthcheck.Test)
		}
	}
	for _, name := range []string{"nats", "postgres", "analyzer", "deployer"} {
		if got := c.Services[name].Networks; !slices.Equal(got, []string{"inside"}) {
			t.Errorf("%s is in the networks %q, want inside only", name, got)
		}
	}
}

func TestComposeTakesItsSecretsFromTheEnvironment(t *testing.T) {
	secret := regexp.MustCompile(`PASSWORD|TOKEN|SECRET|_URL$`)
	required := regexp.MustCompile(`\$\{HUB_[A-Z_]+:\?[^}]+\}`)
	for name, s := range compose(t).Services {
		for variable, value := range s.Environment {
			if text, _ := value.(string); secret.MatchString(variable) && !required.MatchString(text) {
				t.Errorf("%s: %s is %q, want ${NAME:?what to do}", name, variable, text)
			}
		}
	}
}

// TestComposeSetsOnlyWhatAProcessReads finds a variable with a misspelt name,
// which nobody would read.
func TestComposeSetsOnlyWhatAProcessReads(t *testing.T) {
	c := compose(t)
	known := strings.Fields(app.Environ())
	for _, name := range ours {
		for variable := range c.Services[name].Environment {
			if !slices.Contains(known, variable) {
				t.Errorf("%s: no process reads %s", name, variable)
			}
		}
	}
}

// TestComposeImagesArePinned also holds the broker to the version that the
// embedded one has, so that both behave as tested.
func TestComposeImagesArePinned(t *testing.T) {
	c := compose(t)
	if got, want := c.Services["nats"].Image, "nats:"+server.VERSION+"-alpine"; got != want {
		t.Errorf("the broker's image is %s, want %s, the version in go.mod", got, want)
	}
	if got := c.Services["postgres"].Image; !regexp.MustCompile(`^postgres:\d+\.\d+-`).MatchString(got) {
		t.Errorf("the database's image %s is not pinned to a minor version", got)
	}
}

func TestComposeBrokerTakesItsConfiguration(t *testing.T) {
	t.Setenv("HUB_NATS_PASSWORD", `"1e4dead"`) // without the quotes this would be a number
	text := strings.ReplaceAll(compose(t).Configs["nats"].Content, "$$", "$")
	path := filepath.Join(t.TempDir(), "hub.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !opts.JetStream || !opts.SyncAlways || opts.StoreDir != "/data" {
		t.Errorf("JetStream %v, sync always %v, store %q; want both, in /data", opts.JetStream, opts.SyncAlways, opts.StoreDir)
	}
	if opts.Username != "hub" || opts.Password != "1e4dead" || opts.NoAuthUser != "" {
		t.Errorf("user %q, password %q, no-auth user %q; want hub with the password from the environment, and nobody else", opts.Username, opts.Password, opts.NoAuthUser)
	}
	if opts.HTTPHost != "127.0.0.1" {
		t.Errorf("monitoring listens on %q, want loopback only", opts.HTTPHost)
	}
}

func TestTheImageRunsAsNobodyAndIsBuiltFromPinnedImages(t *testing.T) {
	var user string
	for line := range strings.Lines(string(readTop(t, "Dockerfile"))) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "FROM":
			user = ""
			if !regexp.MustCompile(`^[a-z/.]+:[0-9a-z].*`).MatchString(fields[1]) || strings.HasSuffix(fields[1], ":latest") {
				t.Errorf("the image is built from %s, which is not pinned", fields[1])
			}
		case "USER":
			user = fields[1]
		}
	}
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		t.Errorf("the image runs as %q, want a numeric user that is not root", user)
	}
}

// TestTheImageIsBuiltFromAllOfTheSource: .dockerignore leaves everything out
// that it does not name.
func TestTheImageIsBuiltFromAllOfTheSource(t *testing.T) {
	sources, err := load(top)
	if err != nil {
		t.Fatal(err)
	}
	named := strings.Fields(string(readTop(t, ".dockerignore")))
	for _, s := range sources {
		folder, _, _ := strings.Cut(s.path, "/")
		if !slices.Contains(named, "!"+folder) {
			t.Errorf("%s is Go code, and .dockerignore does not let %s in", s.path, folder)
		}
	}
}

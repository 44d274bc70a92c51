package metric_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"integrationhub/internal/analysis/metric"
	"integrationhub/internal/analysis/syntax"
)

func TestFunctionsAreMeasuredAlikeInEveryLanguage(t *testing.T) {
	for _, c := range []struct {
		lang      syntax.Language
		src, want string // name:complexity:lines
	}{
		{syntax.Go, "package a\nfunc (s *Store[K]) get(k K) bool {\n\tif k == nil || k == zero {\n\t\treturn false\n\t}\n\tfor range s.all {\n\t}\n\tgo func() { if x { } }()\n\treturn true\n}\n", "Store.get:5:9"},
		{syntax.Go, "package a\nfunc f() {\n\tswitch x {\n\tcase 1, 2:\n\tcase 3:\n\tdefault:\n\t}\n\tselect {\n\tcase <-c:\n\tdefault:\n\t}\n}\n", "f:4:11"},
		{syntax.Python, "class A:\n    def m(self):\n        return [x for x in y if x] if z else (a and b)\n", "A.m:4:2"},
		{syntax.Python, "def outer():\n    def inner():\n        if x: pass\n    return inner\n", "outer:1:4 inner:2:2"},
		{syntax.JavaScript, "const f = (a) => a ? b ?? c : d;\ngo(() => { while (x) { try { y } catch { z } } });\n", "f:3:1 (anonymous):3:1"},
		{syntax.TypeScript, "class A { m(): void { if (a) b; else if (c) d; } }\ndeclare function g(): void;\n", "A.m:3:1"},
	} {
		tree, err := syntax.Parse(context.Background(), c.lang, []byte(c.src))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range metric.Functions(tree) {
			got = append(got, fmt.Sprintf("%s:%d:%d", f.Name, f.Complexity, f.Lines))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.src, s, c.want)
		}
	}
}

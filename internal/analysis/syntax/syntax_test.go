package syntax_test

import (
	"context"
	"testing"

	"integrationhub/internal/analysis/syntax"
)

func parse(t *testing.T, lang syntax.Language, src string) *syntax.Tree {
	t.Helper()
	tree, err := syntax.Parse(context.Background(), lang, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestX(t *testing.T) {
	for _, s := range []string{"async function f() { const { rows } = await this.pool.query<Product>(sql);\n return await x.y(1) }"} {
		t.Log(parse(t, syntax.TypeScript, s).Root)
	}
}

package analysis

import (
	"bytes"
	"path"
	"strings"

	"github.com/go-enry/go-enry/v2"

	"integrationhub/internal/analysis/syntax"
)

// byExtension decides without reading; whatever else there is, go-enry looks at.
var byExtension = map[string]syntax.Language{
	".go": syntax.Go, ".py": syntax.Python, ".pyi": syntax.Python, ".pyw": syntax.Python,
	".js": syntax.JavaScript, ".mjs": syntax.JavaScript, ".cjs": syntax.JavaScript, ".jsx": syntax.JavaScript,
	".ts": syntax.TypeScript, ".mts": syntax.TypeScript, ".cts": syntax.TypeScript, ".tsx": syntax.TSX,
}

// byName maps go-enry's names to ours.
var byName = map[string]syntax.Language{
	"Go": syntax.Go, "Python": syntax.Python, "JavaScript": syntax.JavaScript, "TypeScript": syntax.TypeScript, "TSX": syntax.TSX,
}

// vendorDirs hold code of other people. The list is shorter than go-enry's, which
// also takes folders such as "cache" and "env", where people keep their own code.
var vendorDirs = map[string]bool{
	"node_modules": true, "vendor": true, "third_party": true, "bower_components": true, "jspm_packages": true,
	"site-packages": true, "dist-packages": true, "Godeps": true, ".venv": true, "venv": true, ".tox": true, ".yarn": true,
}

// sniffed is how much of a file is looked at to tell what it is.
const sniffed = 8000

// maxMeanLine is the mean length of lines, in bytes, from which nobody wrote
// JavaScript by hand.
const maxMeanLine = 250

// classify tells the language of a file, or why it is not analysed.
func classify(name string, src []byte) (syntax.Language, string) {
	lang, known := byExtension[strings.ToLower(path.Ext(name))]
	head := src[:min(len(src), sniffed)]
	if !known && path.Ext(name) == "" {
		lang, known = byName[enry.GetLanguage(name, head)]
	}
	switch {
	case !known && bytes.IndexByte(head, 0) >= 0:
		return "", SkipBinary
	case !known:
		return "", SkipUnsupported
	case vendored(name):
		return lang, SkipVendored
	case len(src) > MaxBytes:
		return lang, SkipTooLarge
	case bytes.IndexByte(head, 0) >= 0:
		return lang, SkipBinary
	case minified(name, lang, src):
		return lang, SkipMinified
	case enry.IsGenerated(name, src):
		return lang, SkipGenerated
	}
	return lang, ""
}

func vendored(name string) bool {
	for _, dir := range strings.Split(path.Dir(name), "/") {
		if vendorDirs[dir] {
			return true
		}
	}
	return false
}

func minified(name string, lang syntax.Language, src []byte) bool {
	if lang.Family() != syntax.JavaScript {
		return false
	}
	base := path.Base(name)
	return strings.Contains(base, ".min.") || len(src) > sniffed && len(src)/(bytes.Count(src, []byte("\n"))+1) > maxMeanLine
}

package store

// CleanJSON makes encoded JSON fit for a jsonb column, which takes no NUL: U+FFFD
// stands in its place, as it does for what is not UTF-8. The input is changed.
func CleanJSON(raw []byte) []byte {
	const nul, stand = `\u0000`, `\ufffd`
	for i := 0; i+len(nul) <= len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if string(raw[i:i+len(nul)]) == nul {
			copy(raw[i:], stand)
		}
		i++ // what is escaped begins no escape of its own
	}
	return raw
}

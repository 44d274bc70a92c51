package sarif

import "integrationhub/internal/hub"

// The objects of SARIF 2.1.0, as far as we fill them. Field names in JSON are the
// specification's; ours are shorter.

type logFile struct {
	Schema  string      `json:"$schema"`
	Version string      `json:"version"`
	Runs    []runObject `json:"runs"`
}

type runObject struct {
	Tool        tool                `json:"tool"`
	Invocations []invocation        `json:"invocations"`
	BaseIDs     map[string]location `json:"originalUriBaseIds"`
	ColumnKind  string              `json:"columnKind"`
	Results     []result            `json:"results"`
}

type tool struct {
	Driver driver `json:"driver"`
}

type driver struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Rules   []rule `json:"rules"`
}

type rule struct {
	ID            string         `json:"id"`
	Short         message        `json:"shortDescription"`
	Full          message        `json:"fullDescription"`
	Configuration configuration  `json:"defaultConfiguration"`
	Properties    ruleProperties `json:"properties"`
}

type configuration struct {
	Level string `json:"level"`
}

type ruleProperties struct {
	Tags             []string `json:"tags"`
	Precision        string   `json:"precision"`
	SecuritySeverity string   `json:"security-severity,omitempty"`
}

type message struct {
	Text string `json:"text"`
}

type invocation struct {
	Successful    bool           `json:"executionSuccessful"`
	Notifications []notification `json:"toolExecutionNotifications,omitempty"`
}

type notification struct {
	Level      string    `json:"level"`
	Descriptor reference `json:"descriptor"`
	Message    message   `json:"message"`
}

type reference struct {
	ID string `json:"id"`
}

type result struct {
	RuleID       string            `json:"ruleId"`
	RuleIndex    int               `json:"ruleIndex"`
	Level        string            `json:"level"`
	Message      message           `json:"message"`
	Locations    []place           `json:"locations"`
	Fingerprints map[string]string `json:"partialFingerprints,omitempty"`
	Fixes        []fix             `json:"fixes,omitempty"`
	Properties   resultProperties  `json:"properties"`
}

type resultProperties struct {
	Severity   hub.Severity   `json:"severity"`
	Confidence hub.Confidence `json:"confidence"`
	Category   hub.Category   `json:"category"`
	Effort     int            `json:"effortMinutes"`
}

type place struct {
	Physical physical `json:"physicalLocation"`
}

type physical struct {
	Artifact location `json:"artifactLocation"`
	Region   *region  `json:"region,omitempty"`
	Context  *region  `json:"contextRegion,omitempty"`
}

type location struct {
	URI         string   `json:"uri,omitempty"`
	BaseID      string   `json:"uriBaseId,omitempty"`
	Description *message `json:"description,omitempty"`
}

type region struct {
	StartLine   int      `json:"startLine"`
	StartColumn int      `json:"startColumn,omitempty"`
	EndLine     int      `json:"endLine,omitempty"`
	EndColumn   int      `json:"endColumn,omitempty"`
	Snippet     *content `json:"snippet,omitempty"`
}

type byteRegion struct {
	Offset int `json:"byteOffset"`
	Length int `json:"byteLength"`
}

type content struct {
	Text string `json:"text"`
}

type fix struct {
	Description message          `json:"description"`
	Changes     []artifactChange `json:"artifactChanges"`
}

type artifactChange struct {
	Artifact     location      `json:"artifactLocation"`
	Replacements []replacement `json:"replacements"`
}

type replacement struct {
	Deleted  byteRegion `json:"deletedRegion"`
	Inserted content    `json:"insertedContent"`
}

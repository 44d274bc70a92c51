package bus_test

import (
	"testing"

	"integrationhub/internal/hubtest"
)

func TestMain(m *testing.M) { hubtest.Main(m) }

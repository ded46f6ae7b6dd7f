package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct{ List []struct{ Name, Type string } }
	Panels        []struct {
		ID                   int
		Type, Title          string
		Description          string
		GridPos              struct{ X, Y, W, H int }
		Datasource           struct{ Type, UID string }
		Targets              []struct{ RefID, Expr, LegendFormat string }
		FieldConfig, Options json.RawMessage
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var d dashboard
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}

type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func readAlerts(t *testing.T) []rule {
	t.Helper()
	text, err := os.ReadFile("alerts.yml")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&file))
	require.Len(t, file.Groups, 1)
	return file.Groups[0].Rules
}

// selectors returns what an expression reads, for a range of a dashboard too.
func selectors(t *testing.T, expr string) []*parser.VectorSelector {
	t.Helper()
	expr = strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h").Replace(expr)
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	require.NoError(t, err, expr)
	var list []*parser.VectorSelector
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			list = append(list, s)
		}
		return nil
	})
	require.NotEmpty(t, list, expr)
	return list
}

// grouped returns the labels that an expression groups by.
func grouped(t *testing.T, expr string) []string {
	t.Helper()
	expr = strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h").Replace(expr)
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	require.NoError(t, err, expr)
	var list []string
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok {
			list = append(list, a.Grouping...)
		}
		return nil
	})
	return list
}

// series is every series that Prometheus keeps of the metrics.
func series(all []*dto.MetricFamily) []labels.Labels {
	var list []labels.Labels
	for _, family := range all {
		for _, m := range family.GetMetric() {
			base := map[string]string{}
			for _, l := range m.GetLabel() {
				base[l.GetName()] = l.GetValue()
			}
			add := func(suffix string, more ...string) {
				base[labels.MetricName] = family.GetName() + suffix
				b := labels.NewBuilder(labels.FromMap(base))
				for i := 0; i < len(more); i += 2 {
					b.Set(more[i], more[i+1])
				}
				list = append(list, b.Labels())
			}
			if m.GetHistogram() == nil {
				add("")
				continue
			}
			add("_count")
			add("_sum")
			add("_bucket", "le", "+Inf")
		}
	}
	return list
}

func matches(all []labels.Labels, s *parser.VectorSelector) bool {
	for _, each := range all {
		ok := true
		for _, m := range s.LabelMatchers {
			ok = ok && m.Matches(each.Get(m.Name))
		}
		if ok {
			return true
		}
	}
	return false
}

func TestEveryQueryReadsWhatIsThere(t *testing.T) {
	t.Parallel()
	all := series(gathered(t))
	names := map[string]bool{} // of labels, by metric
	for _, each := range all {
		each.Range(func(l labels.Label) { names[each.Get(labels.MetricName)+" "+l.Name] = true })
	}
	queries := map[string]string{}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			queries["panel "+p.Title+" "+target.RefID] = target.Expr
			for _, part := range strings.Split(target.LegendFormat, "{{")[1:] {
				label, _, closed := strings.Cut(part, "}}")
				require.True(t, closed, target.LegendFormat)
				require.Contains(t, grouped(t, target.Expr), label, "the legend of %q", p.Title)
			}
		}
	}
	for _, r := range readAlerts(t) {
		queries["alert "+r.Alert] = r.Expr
	}
	require.Greater(t, len(queries), 30)
	for name, expr := range queries {
		for _, s := range selectors(t, expr) {
			require.True(t, matches(all, s), "%s: %s is not exposed", name, s)
			for _, m := range s.LabelMatchers {
				require.True(t, names[s.Name+" "+m.Name], "%s: %s has no label %s", name, s.Name, m.Name)
			}
			for _, label := range grouped(t, expr) {
				require.True(t, names[s.Name+" "+label], "%s: %s has no label %s", name, s.Name, label)
			}
		}
	}
}

func TestTheDashboardIsWellFormed(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	require.NotEmpty(t, d.UID)
	require.NotEmpty(t, d.Title)
	require.GreaterOrEqual(t, d.SchemaVersion, 39)
	require.Len(t, d.Templating.List, 1)
	require.Equal(t, "datasource", d.Templating.List[0].Type)
	ids, titles := map[int]bool{}, map[string]bool{}
	for i, p := range d.Panels {
		require.Positive(t, p.ID)
		require.False(t, ids[p.ID], "two panels with the id %d", p.ID)
		require.False(t, titles[p.Title], "two panels %q", p.Title)
		ids[p.ID], titles[p.Title] = true, true
		require.NotEmpty(t, p.Description, p.Title)
		require.Contains(t, []string{"stat", "timeseries"}, p.Type)
		require.Equal(t, "${"+d.Templating.List[0].Name+"}", p.Datasource.UID)
		require.NotEmpty(t, p.Targets, p.Title)
		refs := map[string]bool{}
		for _, target := range p.Targets {
			require.False(t, refs[target.RefID], "%s: two targets %s", p.Title, target.RefID)
			refs[target.RefID] = true
		}
		at := p.GridPos
		require.True(t, at.X >= 0 && at.Y >= 0 && at.W > 0 && at.H > 0 && at.X+at.W <= 24, p.Title)
		for _, other := range d.Panels[:i] {
			o := other.GridPos
			apart := at.X+at.W <= o.X || o.X+o.W <= at.X || at.Y+at.H <= o.Y || o.Y+o.H <= at.Y
			require.True(t, apart, "%q lies on %q", p.Title, other.Title)
		}
	}
}

func TestEveryAlertSaysWhatToDo(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, r := range readAlerts(t) {
		require.False(t, names[r.Alert], r.Alert)
		names[r.Alert] = true
		require.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.NotEmpty(t, r.Annotations["description"], r.Alert)
		for _, part := range strings.Split(r.Annotations["summary"], "$labels.")[1:] {
			require.Contains(t, grouped(t, r.Expr), strings.Fields(part)[0], r.Alert)
		}
	}
	require.Greater(t, len(names), 10)
}

// TestAlertsFire needs promtool, which comes with Prometheus.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	output, err := exec.CommandContext(t.Context(), promtool, "test", "rules", "alerts_test.yml").CombinedOutput()
	require.NoError(t, err, string(output))
}

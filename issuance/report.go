package issuance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Report writes the workflow as a page (Markdown with Mermaid diagrams): for
// each machine its states and rules, and for each state the events that are
// refused there. docs/workflow.md is this page; a test compares them.
func Report(machines ...*Machine) string {
	var page strings.Builder
	page.WriteString("# 工作流程 The workflow\n\nGenerated from the table in `issuance/workflow.go`; do not edit. `go test ./issuance -run TestReport -update` writes it.\n")
	for _, m := range machines {
		m.report(&page)
	}
	return page.String()
}

func (m *Machine) report(page *strings.Builder) {
	fmt.Fprintf(page, "\n## %s %s\n\n```mermaid\nstateDiagram-v2\n", m.Title.ZH, m.Title.EN)
	for _, s := range m.States {
		fmt.Fprintf(page, "  %s: %s %s\n", node(s.Name), s.Name, s.Text.ZH)
	}
	fmt.Fprintf(page, "  [*] --> %s\n", node(m.Initial))
	for _, r := range m.Rules {
		fmt.Fprintf(page, "  %s --> %s: %s\n", node(r.From), node(r.To), r.Text.ZH)
	}
	for _, s := range m.States {
		if s.Final {
			fmt.Fprintf(page, "  %s --> [*]\n", node(s.Name))
		}
	}
	page.WriteString("```\n\n| from | event | to | who | needs | chip | told |\n|---|---|---|---|---|---|---|\n")
	for _, r := range m.Rules {
		fmt.Fprintf(page, "| %s %s | `%s` %s | %s %s | %s | %s | %s | %s |\n", r.From, m.State(r.From).Text.ZH, r.Event, r.Text.ZH,
			r.To, m.State(r.To).Text.ZH, strings.Join(r.Roles, ", "), r.conditions(), cmp.Or(r.Chip, "–"), r.addressees())
	}
	page.WriteString("\n| state | text | refused events |\n|---|---|---|\n")
	for _, s := range m.States {
		fmt.Fprintf(page, "| %s %s | %s | %s |\n", s.Name, s.Text.ZH, s.Text.EN, strings.Join(m.refused(s.Name), ", "))
	}
}

// node is a state's name as a diagram takes it.
func node(name string) string { return "s_" + name }

func (r Rule) conditions() string {
	var words []string
	for _, name := range r.Needs {
		words = append(words, guards[name].text.ZH+" "+guards[name].text.EN)
	}
	if r.Reason {
		words = append(words, "填写原因 a reason")
	}
	if r.Follows {
		words = append(words, "随卡状态变化 follows the card")
	}
	if r.Also != "" {
		words = append(words, "申领随之 `"+r.Also+"`")
	}
	return cmp.Or(strings.Join(words, "; "), "–")
}

func (r Rule) addressees() string {
	var words []string
	for _, name := range r.Tell {
		words = append(words, told[name].ZH)
	}
	return cmp.Or(strings.Join(words, "、"), "–")
}

// refused returns the machine's events that have no line in a state.
func (m *Machine) refused(state string) []string {
	var events []string
	for _, r := range m.Rules {
		if _, handled := m.Rule(state, r.Event); !handled && !slices.Contains(events, r.Event) {
			events = append(events, r.Event)
		}
	}
	return events
}

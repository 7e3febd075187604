package issuance

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Report writes the workflow as a page (Markdown with Mermaid diagrams): for
// each machine its states and rules, and for each state the events that are
// refused there. docs/workflow.md is this page; a test compares them.
func Report(machines ...*Machine) string {
	var page strings.Builder
	page.WriteString("# 工作流程 The workflow\n\n" +
		"本页由程序运行所用的流程表生成，请勿手改；表中没有的事件一律拒绝。已处于目标状态的卡再次办理同一手工事项，视为成功，不再变更。\n\n" +
		"Generated from the tables that the program runs; do not edit (`go test ./cmd/onecard -run TestReport -update` writes it). An event that has no line in a state is refused there. An event by hand that has already brought a card into its state succeeds again and changes nothing.\n")
	for _, m := range machines {
		m.report(&page)
	}
	reportReasons(&page, machines)
	return page.String()
}

// reportReasons lists the reason codes that the machines ask for, with what
// follows from each.
func reportReasons(page *strings.Builder, machines []*Machine) {
	page.WriteString("\n## 原因代码 · reason codes\n\n| 用于 for | 代码 code | 后果 what follows |\n|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(Reasons)) {
		for _, reason := range Reasons[name] {
			words := make([]string, len(reason.Then))
			for i, then := range reason.Then {
				words[i] = both(consequences[then])
			}
			fmt.Fprintf(page, "| `%s` | %s | %s |\n", name, named(reason.Code, reason.Text), strings.Join(words, "; "))
		}
	}
}

func (m *Machine) report(page *strings.Builder) {
	fmt.Fprintf(page, "\n## %s · %s\n\n```mermaid\nstateDiagram-v2\n", m.Title.ZH, m.Title.EN)
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
	page.WriteString("```\n\n| 状态 from | 事件 event | 到 to | 岗位 who | 条件 needs | 芯片操作 chip | 通知 told | 记录 recorded |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range m.Rules {
		fmt.Fprintf(page, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", named(r.From, m.State(r.From).Text), named(r.Event, r.Text),
			named(r.To, m.State(r.To).Text), r.who(), r.conditions(m), cmp.Or(r.Chip, "–"), r.addressees(), r.recorded(m))
	}
	page.WriteString("\n| 状态 state | 拒绝的事件 refused events |\n|---|---|\n")
	for _, s := range m.States {
		fmt.Fprintf(page, "| %s | %s |\n", named(s.Name, s.Text), strings.Join(m.refused(s.Name), ", "))
	}
}

// named is a name of the table with its words, Chinese first.
func named(name string, text Text) string { return "`" + name + "` " + both(text) }

func both(text Text) string { return text.ZH + " · " + text.EN }

// node is a state's name as a diagram takes it.
func node(name string) string { return "s_" + name }

func (r Rule) conditions(m *Machine) string {
	var words []string
	for _, name := range r.Needs {
		words = append(words, both(m.guardText(name)))
	}
	if r.Reasons != "" {
		words = append(words, "填写原因 · a reason (`"+r.Reasons+"`)")
	}
	if r.Also != "" {
		words = append(words, "申领随之 · the application follows: `"+r.Also+"`")
	}
	return cmp.Or(strings.Join(words, "; "), "–")
}

// who is who fires the event.
func (r Rule) who() string {
	words := strings.Join(r.Roles, ", ")
	if r.By == "" {
		return words
	}
	if words != "" {
		words = ", " + words
	}
	return both(firedBy[r.By]) + words
}

// recorded is what the engine writes of the event besides the state.
func (r Rule) recorded(m *Machine) string {
	words := []string{"审计 · audit"}
	if m == &Cards {
		words = append(words, "卡状态日志、历史版本 · the card's log and versions")
	}
	if r.Reasons != "" {
		words = append(words, "原因 · reason")
	}
	if slices.Contains(r.Tell, TellTerminals) {
		words = append(words, "失效名单 · list of invalid cards")
	}
	if len(r.Tell) > 0 {
		words = append(words, "通知及回执 · deliveries and their acknowledgement")
	}
	return strings.Join(words, "; ")
}

func (r Rule) addressees() string {
	var words []string
	for _, name := range r.Tell {
		words = append(words, both(told[name]))
	}
	return cmp.Or(strings.Join(words, "; "), "–")
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

package terminal_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/api/client"
	"onecard/card"
	"onecard/card/profile"
	"onecard/registry"
	"onecard/terminal"
)

const telephone = "DF01/EF06/telephone"

// issued makes a card for a resident, in use with the number pin, which lies in
// the reader.
func (p *post) issued(name string) client.ChipResult {
	p.t.Helper()
	p.bench.insert(blank(p.t))
	p.shows(terminal.CardBlank)
	a := p.numbered(name)
	p.make(a)
	id := p.application(a.ID).CardID
	reading, err := p.station.Perform(p.t.Context(), p.platform, terminal.Job{Operation: "activate", CardID: id, PIN: pin})
	require.NoError(p.t, err)
	p.shows(terminal.CardPersonalised)
	return reading.Result
}

// TestHoldersNumber: what needs the holder's number gives it to the chip; no
// request to the platform carries it, but those that set a new one.
func TestHoldersNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	desk := w.at(counter, "counter", clerk)
	made := desk.issued(holder)
	do := func(job terminal.Job) (terminal.Reading, string, error) {
		job.CardID = made.CardId
		w.gate.bodies()
		reading, err := desk.station.Perform(t.Context(), desk.platform, job)
		return reading, w.gate.bodies(), err
	}
	settlement := card.Item{Path: "DF04/EF06/tag93", Write: &card.Data{Text: "12"}}
	reading, sent, err := do(terminal.Job{Operation: "access", PIN: pin, Items: []card.Item{settlement, {Path: telephone}}})
	require.NoError(t, err)
	require.Contains(t, sent, "DF04/EF06/tag93")
	require.NotContains(t, sent, `"pin"`)
	require.NotContains(t, sent, `"`+pin)
	require.Equal(t, "12", valueOf(t, reading, "tag93"))

	_, sent, err = do(terminal.Job{Operation: "access", PIN: "000000", Items: []card.Item{settlement}})
	require.Contains(t, terminal.Explain(err).ZH, "社保密码错误，还可再试 5 次")
	require.NotContains(t, sent, `"pin"`)
	_, _, err = do(terminal.Job{Operation: "access", Items: []card.Item{settlement}})
	require.ErrorIs(t, err, card.ErrPINFormat)

	_, sent, err = do(terminal.Job{Operation: "resetPIN", PIN: "271828"})
	require.NoError(t, err)
	require.Contains(t, sent, `"pin":"271828"`, "a new number is enciphered by the keeper")
}

func valueOf(t *testing.T, reading terminal.Reading, name string) string {
	t.Helper()
	i := slices.IndexFunc(reading.Result.Fields, func(f client.ChipField) bool { return f.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return reading.Result.Fields[i].Value
}

// TestEverything reads all of a card, with the holder and without: then all
// that needs no number.
func TestEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	desk := w.at(counter, "counter", clerk)
	_, err := desk.station.Areas(t.Context())
	require.ErrorIs(t, err, terminal.ErrNoCard)
	made := desk.issued(holder)
	areas, err := desk.station.Areas(t.Context())
	require.NoError(t, err)
	for number, withPIN := range map[string]bool{pin: true, "": false} {
		reading, err := desk.station.Perform(t.Context(), desk.platform, terminal.Job{Operation: "access", CardID: made.CardId, Everything: true, PIN: number})
		require.NoError(t, err)
		require.Equal(t, holder, valueOf(t, reading, "name"))
		var wanted, got []string
		for _, area := range areas {
			for _, target := range area.Targets {
				if target.Kind == profile.Variable && target.Read && (withPIN || !target.PIN) {
					wanted = append(wanted, target.Path)
				}
			}
		}
		for _, field := range reading.Result.Fields {
			if field.Name != "record" {
				got = append(got, field.File+"/"+field.Name)
			}
		}
		require.ElementsMatch(t, wanted, got)
		require.Equal(t, withPIN, slices.Contains(got, "DF04/EF06/tag92"))
	}
	number, err := desk.station.BankNumber(t.Context(), []string{registry.RoleIssuer, registry.RoleClerk})
	require.NoError(t, err)
	require.Regexp(t, `^\*{15}[0-9]{4}$`, number)
	_, err = desk.station.BankNumber(t.Context(), []string{registry.RoleIssuer, registry.RoleCashier})
	require.ErrorIs(t, err, terminal.ErrNoRight)
	desk.bench.remove()
	desk.shows(terminal.CardNone)
	_, err = desk.station.BankNumber(t.Context(), []string{registry.RoleSupervisor})
	require.ErrorIs(t, err, terminal.ErrNoCard)
}

// TestAreas: each version has an area for each part of the card, every element
// once, with what may be done to it.
func TestAreas(t *testing.T) {
	t.Parallel()
	for _, p := range profiles(t) {
		var titles []string
		targets := map[string]terminal.Target{}
		for _, area := range terminal.Areas(p) {
			titles = append(titles, area.ZH)
			for _, target := range area.Targets {
				require.NotContains(t, targets, target.Path)
				require.NotEmpty(t, target.ZH, target.Path)
				require.NotEmpty(t, target.EN, target.Path)
				require.Positive(t, target.Length, target.Path)
				targets[target.Path] = target
			}
		}
		require.Equal(t, []string{"发卡机构数据", "持卡人基本信息"}, titles[:2], p.Version)
		for _, item := range card.ReadEverything(p) {
			require.True(t, targets[item.Path].Read, item.Path)
			require.False(t, targets[item.Path].Write && item.Path[:4] == "SSSE", "%s is the record's to write", item.Path)
		}
		require.LessOrEqual(t, len(card.ReadEverything(p)), 300, "the interface takes no more items at once")
		require.True(t, targets[telephone].Write)
		require.False(t, targets[telephone].PIN)
		require.Equal(t, 15, targets[telephone].Length)
		require.True(t, targets["DF04/EF08"].PIN)
		require.False(t, targets["DF04/EF08"].Write, "the card's own debit writes it")
		require.Len(t, targets["DF02/EF07"].Parts, 4)
	}
}

package trace

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"onecard/apdu"
	"onecard/card/profile"
)

// Options says how to decode.
type Options struct {
	Profiles []*profile.Profile
	// Reveal shows what is otherwise masked. Whoever sets it puts on record
	// why.
	Reveal bool
}

// Decode reads conversations.
func Decode(conversations []apdu.Conversation, options Options) Report {
	report := Report{Revealed: options.Reveal, Conversations: []Conversation{}}
	for _, c := range conversations {
		decoded := decode(c, options)
		report.Conversations = append(report.Conversations, decoded)
		report.Totals.add(decoded.Totals)
	}
	return report
}

// decoder is where a conversation is: what the commands so far have selected.
type decoder struct {
	options Options
	profile *profile.Profile // nil where not known
	scope   *profile.Scope   // nil outside of the social security application
	file    *profile.File    // the current elementary file; nil where not known
	channel bool             // a GlobalPlatform session is open
	totals  Totals
}

// call is one command with its answer while it is being decoded.
type call struct {
	apdu.Command
	data, answer part
	mac          part // of a protected command, once its body was taken
	sw           apdu.SW
	answered     bool
	step         *Step
}

// selected says whether the chip carried a selection out, as far as is known.
func (c *call) selected() bool { return c.sw == apdu.OK || c.sw == 0x6283 }

func decode(conversation apdu.Conversation, options Options) Conversation {
	out := Conversation{ATR: conversation.ATR.String(), Reader: conversation.Reader, Steps: []Step{}}
	if !conversation.At.IsZero() {
		out.At = &conversation.At
	}
	groups := join(conversation.Exchanges)
	fitting := recognise(options.Profiles, conversation, groups)
	d := &decoder{options: options}
	if len(fitting) == 1 {
		d.profile, out.Version = fitting[0], fitting[0].Version
	}
	for _, p := range fitting {
		if line, ok := p.ATR(plain(conversation.ATR)); ok {
			out.Card = &line.Name
		}
		if len(fitting) > 1 {
			out.Fitting = append(out.Fitting, p.Version)
		}
	}
	hide := serialLength
	if atr, err := apdu.ParseATR(plain(conversation.ATR)); err == nil || errors.Is(err, apdu.ErrCheckByte) {
		out.Historical = len(atr.Historical)
		for _, protocol := range atr.Protocols {
			out.Protocols = append(out.Protocols, fmt.Sprintf("T=%d", protocol))
		}
		if atr.HasCheck {
			hide++ // from which the rest can be told
		}
	}
	if !options.Reveal && len(conversation.ATR) > hide {
		// Its last historical bytes are the serial number of the chip.
		out.ATR = conversation.ATR[:len(conversation.ATR)-hide].String() + strings.Repeat("..", hide)
	}
	begins := true // the next command is the first of a script
	for _, g := range groups {
		switch {
		case g.command.INS == insGetChallenge:
			begins = true
		case begins:
			d.totals.Scripts++
			begins = false
		}
		out.Steps = append(out.Steps, d.step(g))
	}
	out.Totals = d.totals
	return out
}

// serialLength is the number of bytes at the end of an answer to reset that are
// the chip's serial number.
const serialLength = 4

// recognise returns the profiles that may be the card's: the one whose version
// the card says; else those of its answer to reset; where none is recorded,
// those whose environment it let be selected.
func recognise(profiles []*profile.Profile, conversation apdu.Conversation, groups []group) []*profile.Profile {
	atr := plain(conversation.ATR)
	byVersion := fit(profiles, func(p *profile.Profile) bool {
		return slices.ContainsFunc(groups, func(g group) bool { return g.says(p) })
	})
	if len(byVersion) > 0 {
		return byVersion
	}
	return fit(profiles, func(p *profile.Profile) bool {
		if slices.ContainsFunc(groups, func(g group) bool { return g.denies(p) }) {
			return false
		}
		if len(atr) > 0 {
			_, ok := p.ATR(atr)
			return ok
		}
		return slices.ContainsFunc(groups, func(g group) bool {
			return g.command.INS == insSelect && string(g.command.Data) == string(p.Environment) && g.sw == apdu.OK
		})
	})
}

func fit(profiles []*profile.Profile, fits func(*profile.Profile) bool) []*profile.Profile {
	return slices.DeleteFunc(slices.Clone(profiles), func(p *profile.Profile) bool { return !fits(p) })
}

// says whether an exchange is the card's saying that it is of this version.
func (g group) says(p *profile.Profile) bool {
	version, ok := VersionRecord(p)
	return ok && g.command.INS == insReadRecord && !hidden(g.answer) && string(plain(g.answer)) == string(version)
}

// denies says whether an exchange is the card's saying that it is of another
// version.
func (g group) denies(p *profile.Profile) bool {
	version, ok := VersionRecord(p)
	answer := plain(g.answer)
	return ok && g.command.INS == insReadRecord && !hidden(g.answer) && len(answer) == len(version) &&
		string(answer[:2]) == string(version[:2]) && string(answer) != string(version)
}

// VersionRecord returns the record with which a card says that it is of the
// profile's specification (规范版本).
func VersionRecord(p *profile.Profile) ([]byte, bool) {
	file, ok := p.File("SSSE/EF05")
	if !ok {
		return nil, false
	}
	e, ok := file.Element("specVersion")
	if !ok || e.Length != len(p.Version) {
		return nil, false
	}
	return append([]byte{e.Tag, byte(e.Length)}, p.Version...), true
}

// step decodes one command with its answer.
func (d *decoder) step(g group) Step {
	step := Step{Line: g.line, Exchanges: g.exchanges, Micros: g.took.Microseconds()}
	d.totals.Commands++
	d.totals.Exchanges += g.exchanges
	d.totals.Sent += g.sent
	d.totals.Received += g.received
	d.totals.Micros += step.Micros
	step.Status = status(g.sw, g.answered)
	if g.answered {
		step.SW = g.sw.String()
	}
	switch {
	case !g.answered:
		d.totals.Silent++
	case g.sw != apdu.OK:
		d.totals.Refused++
	}
	c := &call{Command: g.command, data: newPart(g.data), answer: newPart(g.answer), sw: g.sw, answered: g.answered, step: &step}
	step.Header = g.command.Header()
	if g.malformed {
		step.Header = g.header
		step.Name, step.Text = "?", profile.Text{ZH: "不是 APDU", EN: "not an APDU"}
		step.Sent = []Field{d.secret("", textData, c.data)}
	} else {
		d.command(c)
	}
	step.Data, step.Answer = c.data.view.String(), c.answer.view.String()
	return step
}

// status puts a status word into words.
func status(sw apdu.SW, answered bool) profile.Text {
	if !answered {
		return profile.Text{ZH: "无应答", EN: "no answer"}
	}
	info := sw.Info()
	text := profile.Text{ZH: info.ZH, EN: info.EN}
	if left, ok := sw.Tries(); ok && left > 0 {
		text.ZH += fmt.Sprintf("，还可再试 %d 次", left)
		text.EN += fmt.Sprintf(", %d attempts left", left)
	}
	return text
}

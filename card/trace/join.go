package trace

import (
	"slices"
	"time"

	"onecard/apdu"
)

// group is a command with its answer as the chip's user means them: the
// exchanges that a channel makes of one command are one again.
type group struct {
	line, exchanges int
	command         apdu.Command // masked bytes of its data are zero
	header          string       // of what is no command
	malformed       bool
	data, answer    apdu.Octets
	sw              apdu.SW
	answered        bool
	took            time.Duration
	sent, received  int // bytes on the line, status words included
}

// join puts chained parts, repetitions with the right length (6Cxx) and the
// fetching of an answer (61xx) to the command that they belong to.
func join(exchanges []apdu.Exchange) []group {
	var groups []group
	for i := 0; i < len(exchanges); {
		g := take(exchanges[i])
		for i++; i < len(exchanges) && !g.malformed; i++ {
			next := take(exchanges[i])
			if !g.continues(next) {
				break
			}
			g.append(next)
		}
		groups = append(groups, g)
	}
	return groups
}

// take reads one exchange.
func take(e apdu.Exchange) group {
	g := group{line: e.Line, exchanges: 1, took: e.Took, sent: len(e.Command), received: len(e.Response)}
	if n := len(e.Response); n >= 2 {
		g.answered, g.answer = true, e.Response[:n-2]
		g.sw = apdu.SW(e.Response[n-2].Value)<<8 | apdu.SW(e.Response[n-1].Value)
	}
	const lengthEnd = 5
	command, err := apdu.ParseCommand(plain(e.Command))
	if err != nil || hidden(e.Command[:min(len(e.Command), lengthEnd)]) {
		header := e.Command[:min(len(e.Command), 4)]
		g.malformed, g.header, g.data = true, header.String(), e.Command[len(header):]
		return g
	}
	g.command = command
	if n := len(command.Data); n > 0 {
		from := lengthEnd
		if e.Command[4].Value == 0 { // Lc of three bytes
			from += 2
		}
		g.data = e.Command[from : from+n]
	}
	return g
}

// continues says whether the next exchange belongs to this command.
func (g *group) continues(next group) bool {
	c, n := g.command, next.command
	switch {
	case next.malformed || !g.answered:
		return false
	case g.sw>>8 == 0x61:
		return n.INS == insGetResponse
	case g.sw>>8 == 0x6C:
		c.Ne, n.Ne, c.Data, n.Data = 0, 0, nil, nil
		return c.Header() == n.Header() && slices.Equal(g.data, next.data)
	case c.CLA&claChained != 0 && g.sw == apdu.OK:
		n.CLA |= claChained
		return c.Header() == n.Header() && len(g.answer) == 0
	}
	return false
}

const claChained = 0x10

// append takes an exchange in that belongs to the command.
func (g *group) append(next group) {
	if g.sw == apdu.OK { // a chained part; the last one is not marked as such
		g.data = slices.Concat(g.data, next.data)
		g.command.CLA = next.command.CLA
		g.command.Data = plain(g.data)
		g.command.Ne = next.command.Ne
	}
	g.answer = slices.Concat(g.answer, next.answer)
	g.sw, g.answered = next.sw, next.answered
	g.exchanges++
	g.took += next.took
	g.sent += next.sent
	g.received += next.received
}

// plain returns the bytes; one that was masked is zero.
func plain(octets apdu.Octets) []byte {
	out := make([]byte, len(octets))
	for i, o := range octets {
		out[i] = o.Value
	}
	return out
}

// hidden says whether a byte was masked when it was recorded.
func hidden(octets apdu.Octets) bool {
	return slices.ContainsFunc(octets, func(o apdu.Octet) bool { return o.Masked })
}

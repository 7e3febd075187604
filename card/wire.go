package card

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"onecard/apdu"
)

// wireStep is a step as it travels between the province and a counter.
type wireStep struct {
	APDU   string   `json:"apdu"`
	Accept []string `json:"accept,omitempty"`
	Secret bool     `json:"secret,omitempty"`
	PIN    bool     `json:"pin,omitempty"`
	Expect string   `json:"expect,omitempty"`
	Counts string   `json:"counts,omitempty"`
	Label  string   `json:"label,omitempty"`
}

// MarshalJSON writes the step's command in hexadecimal.
func (s Step) MarshalJSON() ([]byte, error) {
	command, err := s.Command.Bytes()
	if err != nil {
		return nil, err
	}
	wire := wireStep{APDU: strings.ToUpper(hex.EncodeToString(command)), Secret: s.Secret, PIN: s.PIN, Expect: upperHex(s.Expect), Counts: s.Counts, Label: s.Label}
	for _, sw := range s.Accept {
		wire.Accept = append(wire.Accept, sw.String())
	}
	return json.Marshal(wire)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Step) UnmarshalJSON(text []byte) error {
	var wire wireStep
	if err := json.Unmarshal(text, &wire); err != nil {
		return fmt.Errorf("step: %w", err)
	}
	command, err := hex.DecodeString(wire.APDU)
	if err != nil {
		return fmt.Errorf("step: apdu: %w", err)
	}
	step := Step{Secret: wire.Secret, PIN: wire.PIN, Counts: wire.Counts, Label: wire.Label}
	if step.Command, err = apdu.ParseCommand(command); err != nil {
		return fmt.Errorf("step: %w", err)
	}
	if wire.Expect != "" {
		if step.Expect, err = hex.DecodeString(wire.Expect); err != nil {
			return fmt.Errorf("step: expect: %w", err)
		}
	}
	for _, text := range wire.Accept {
		sw, err := strconv.ParseUint(text, 16, 16)
		if err != nil {
			return fmt.Errorf("step: accept: %w", err)
		}
		step.Accept = append(step.Accept, apdu.SW(sw))
	}
	*s = step
	return nil
}

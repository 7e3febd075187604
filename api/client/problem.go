package client

import (
	"fmt"
	"strings"
)

// ProblemType is the media type of a problem (RFC 9457, clause 3).
const ProblemType = "application/problem+json"

// Error puts the problem into words, Chinese first, with what to do and the
// fields that are meant. It holds no value that was sent.
func (p *Problem) Error() string {
	words := []string{p.Title, text(p.TitleEn), text(p.Detail), text(p.DetailEn)}
	if p.Fields != nil {
		for _, f := range *p.Fields {
			words = append(words, fmt.Sprintf("%s：%s %s", f.Field, f.Zh, f.En))
		}
	}
	words = append(words, "("+strings.TrimSpace(p.Code+" "+text(p.Instance))+")")
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

// Is makes problems of the same code match, so that a caller may compare with
// errors.Is(err, &Problem{Code: "…"}).
func (p *Problem) Is(target error) bool {
	other, ok := target.(*Problem)
	return ok && other.Code == p.Code
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

package production

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxLine bounds a line of a return: the values read back of one card.
const maxLine = 64 << 10

// malformed says which line of a return is wrong, and what about it.
func malformed(line int64, problem string) error {
	return fmt.Errorf("%w: 第 %d 行 line %d: %s", ErrReturn, line, line, problem)
}

// readReturn reads a return (回盘文件) to its end and gives each record with its
// place, from 1. It is strict: unknown and missing fields, a result that does not
// fit, counts that are not those of the records, a number or a chip twice, an end
// that is missing or not the last line are ErrReturn. What each has been given
// before is not to be relied on until the end.
func readReturn(from io.Reader, each func(head returnHead, n int64, r returnRecord) error) (returnHead, error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	var head returnHead
	var counted returnHead
	seen := map[string]bool{} // numbers and chips
	ended := false
	line := int64(0)
	for lines.Scan() {
		line++
		text := lines.Bytes()
		switch {
		case ended:
			return head, malformed(line, "在结束行之后 after the end")
		case line == 1:
			if err := strictJSON(text, &head); err != nil || head.Format != formatReturn {
				return head, malformed(line, "不是回盘文件头 not the head of a return")
			}
			continue
		}
		var record returnRecord
		if err := strictJSON(text, &record); err != nil {
			var end fileEnd
			if strictJSON(text, &end) != nil || !end.End {
				return head, malformed(line, "不是记录 not a record")
			}
			if end.Records != counted.Records {
				return head, malformed(line, "结束行的数量不符 the end's count is wrong")
			}
			ended = true
			continue
		}
		if problem := record.problem(); problem != "" {
			return head, malformed(line, problem)
		}
		for _, name := range []string{record.Number, record.ATR} {
			if seen[name] {
				return head, malformed(line, "卡号或芯片重复 a number or a chip stands twice")
			}
			seen[name] = true
		}
		counted.count(record.Result)
		if err := each(head, counted.Records, record); err != nil {
			return head, err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return head, malformed(line+1, "过长 too long")
	case err != nil:
		return head, fmt.Errorf("%w: %w", ErrReturn, err)
	case !ended:
		return head, malformed(line+1, "没有结束行 the end is missing")
	case head.Records != counted.Records || head.Made != counted.Made || head.Spoiled != counted.Spoiled || head.KeyErrors != counted.KeyErrors:
		return head, malformed(1, "文件头的数量与记录不符 the head's counts are not those of the records")
	}
	return head, nil
}

func (h *returnHead) count(result string) {
	h.Records++
	switch result {
	case resultMade:
		h.Made++
	case resultSpoiled:
		h.Spoiled++
	case resultKeyError:
		h.KeyErrors++
	}
}

// problem says what is wrong with a record by itself.
func (r returnRecord) problem() string {
	made := r.Result == resultMade
	switch {
	case len(r.Number) != 9:
		return "number: 9 位 characters"
	case !made && r.Result != resultSpoiled && r.Result != resultKeyError:
		return "result: made, spoiled, key-error"
	case !hexadecimal(r.ATR, 24, 66):
		return "atr: 大写十六进制 upper-case hexadecimal"
	case r.At.IsZero():
		return "at: 须有时间 a time is needed"
	case len(r.Reason) > 300 || !made && r.Reason == "":
		return "reason: 未制成须有原因，至多 300 字节 why it was not made, at most 300 bytes"
	case made && (!hexadecimal(r.CardID, 32, 32) || !hexadecimal(r.ChipSerial, 8, 8)):
		return "cardID, chipSerial: 32 和 8 位大写十六进制 32 and 8 digits of upper-case hexadecimal"
	case made && (len(r.Read) == 0 || len(r.SpecVersion) != 4 || r.Maker == ""):
		return "read, specVersion, maker: 制成的须有 of a made card they are needed"
	}
	return ""
}

func hexadecimal(text string, least, most int) bool {
	return len(text) >= least && len(text) <= most && len(text)%2 == 0 && strings.Trim(text, "0123456789ABCDEF") == ""
}

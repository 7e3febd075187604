package terminal_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/api/client"
	"onecard/card"
	"onecard/terminal"
)

// TestFaults: each fault says in both languages what happened and what to do.
func TestFaults(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, fault := range []*terminal.Fault{
		terminal.ErrBusy, terminal.ErrNoService, terminal.ErrNoPermission, terminal.ErrMute, terminal.ErrNoReader,
		terminal.ErrNoCard, terminal.ErrRemoved, terminal.ErrReset, terminal.ErrShared, terminal.ErrOffline,
		terminal.ErrNotGenuine, terminal.ErrInvalidCard, terminal.ErrList, terminal.ErrUnknownEnd, terminal.ErrStopped,
	} {
		for what, text := range map[string]string{"code": fault.Code, "zh": fault.ZH, "en": fault.EN, "remedyZh": fault.RemedyZH, "remedyEn": fault.RemedyEN} {
			require.NotEmpty(t, text, "%s of %s", what, fault.Code)
		}
		require.False(t, seen[fault.Code], "%s stands twice", fault.Code)
		seen[fault.Code] = true
		because := fault.Because(io.ErrUnexpectedEOF)
		require.ErrorIs(t, because, fault)
		require.ErrorIs(t, because, io.ErrUnexpectedEOF)
		require.NotErrorIs(t, fault, io.ErrUnexpectedEOF, "the fault itself stays as it is")
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	english := "closed"
	for name, test := range map[string]struct {
		err  error
		code string
		zh   string
	}{
		"fault":          {fmt.Errorf("work: %w", terminal.ErrRemoved.Because(io.EOF)), "card-removed", "拔出"},
		"problem":        {fmt.Errorf("work: %w", &client.Problem{Code: "closed", Title: "已关闭", TitleEn: &english}), "closed", "已关闭"},
		"of the chip":    {fmt.Errorf("work: %w", card.ErrForeignCard), "chip", "社会保障卡"},
		"wrong PIN":      {&card.PINError{Left: 2}, "chip", "2"},
		"status word":    {apdu.Response{SW: 0x6982}.Err(), "status", "安全条件"},
		"nobody foresaw": {io.ErrUnexpectedEOF, terminal.Unexpected, "未预料"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fault := terminal.Explain(test.err)
			require.Equal(t, test.code, fault.Code)
			require.Contains(t, fault.ZH, test.zh)
			require.NotEmpty(t, fault.EN)
			if fault.Code == terminal.Unexpected {
				require.True(t, errors.Is(fault, test.err), "the cause is kept for the log")
			}
		})
	}
}

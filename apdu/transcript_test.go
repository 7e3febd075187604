package apdu_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
)

// TestRecorder: what must not be seen is not in the transcript, whatever way
// it passes.
func TestRecorder(t *testing.T) {
	t.Parallel()
	hideHolder := func(c apdu.Command, _ apdu.Response) (bool, bool) { return false, c.INS == 0xB2 }
	for name, test := range map[string]struct {
		command, answer string
		want            string
	}{
		"plain":         {"00A40400 02 A1A2 00", "6F00 9000", "> 00A4040002A1A200\n< 6F009000\n"},
		"PIN":           {"00200000 03 123456", "9000", "> 0020000003......\n< 9000\n"},
		"key":           {"84D40000 04 A1A2A3A4", "9000", "> 84D4000004........\n< 9000\n"},
		"PIN, extended": {"00200000 00 0003 123456", "9000", "> 00200000000003......\n< 9000\n"},
		"holder":        {"00B20104 05", "0102030405 9000", "> 00B2010405\n< ..........9000\n"},
		"not an APDU":   {"0020000009123456", "9000", "> 00200000........\n< 9000\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			recorder := apdu.NewRecorder(transmit(func([]byte) ([]byte, error) { return unhex(t, test.answer), nil }), &out, hideHolder)
			answer, err := recorder.Transmit(t.Context(), unhex(t, test.command))
			require.NoError(t, err)
			require.Equal(t, unhex(t, test.answer), answer, "the caller gets what the chip said")
			require.NoError(t, recorder.Err())
			require.Equal(t, test.want, out.String())
			_, err = apdu.ParseTranscript(&out)
			require.NoError(t, err)
		})
	}
}

// TestRecorderFetched: the rest of an answer is masked like its beginning.
func TestRecorderFetched(t *testing.T) {
	t.Parallel()
	answers := []string{"6102", "A1A2 9000"}
	chip := transmit(func([]byte) ([]byte, error) {
		answer := unhex(t, answers[0])
		answers = answers[1:]
		return answer, nil
	})
	var out bytes.Buffer
	recorder := apdu.NewRecorder(chip, &out, func(c apdu.Command, _ apdu.Response) (bool, bool) { return false, c.INS == 0xB2 })
	r, err := apdu.NewChannel(recorder).Send(t.Context(), apdu.Command{INS: 0xB2, P1: 1, P2: 4, Ne: 256})
	require.NoError(t, err)
	require.Equal(t, []byte{0xA1, 0xA2}, r.Data)
	require.NotContains(t, out.String(), "A1A2")
}

// TestRecorderFetchedUnknown: of whose command an answer is is not known after
// what is no APDU, nor at the beginning; it is masked.
func TestRecorderFetchedUnknown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	recorder := apdu.NewRecorder(transmit(func([]byte) ([]byte, error) { return unhex(t, "A1A2 9000"), nil }), &out, nil)
	for _, command := range []string{"00C00000 02", "00B20104 05", "00B20104 05 06", "00C00000 02"} {
		_, err := recorder.Transmit(t.Context(), unhex(t, command))
		require.NoError(t, err)
	}
	require.Equal(t, "> 00C0000002\n< ....9000\n> 00B2010405\n< A1A29000\n> 00B20104....\n< ....9000\n> 00C0000002\n< ....9000\n", out.String())
}

// TestRecorderSecrets passes numbers and keys in every form in which a chip
// takes them, chained and refused too: none of their bytes is in the file.
func TestRecorderSecrets(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{0xE7}, 300)
	for _, c := range []apdu.Command{
		{INS: 0x20, Data: secret[:3]}, {INS: 0x20, Data: secret[:3], Ne: 256}, {CLA: 0x84, INS: 0x24, P2: 1, Data: secret[:20]},
		{CLA: 0x80, INS: 0x5E, P1: 1, Data: secret[:7]}, {CLA: 0x84, INS: 0xD4, Data: secret[:36]}, {CLA: 0x84, INS: 0xD4, Data: secret},
	} {
		for _, extended := range []bool{false, true} {
			for _, answer := range []string{"9000", "6988", "6C03", ""} {
				var out bytes.Buffer
				recorder := apdu.NewRecorder(transmit(func([]byte) ([]byte, error) {
					if answer == "" {
						return nil, errors.New("gone")
					}
					return unhex(t, answer), nil
				}), &out, nil)
				channel := apdu.NewChannel(recorder)
				channel.Extended = extended
				_, _ = channel.Send(t.Context(), c)
				require.NoError(t, recorder.Err())
				require.NotContains(t, out.String(), "E7")
				require.Contains(t, out.String(), "......")
			}
		}
	}
}

// failing is a disk that is full.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestRecorderFailure(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	var out bytes.Buffer
	recorder := apdu.NewRecorder(transmit(func([]byte) ([]byte, error) { return nil, gone }), &out, nil)
	_, err := recorder.Transmit(t.Context(), unhex(t, "00840000 08"))
	require.ErrorIs(t, err, gone)
	require.Equal(t, "> 0084000008\n# no answer\n", out.String())

	recorder = apdu.NewRecorder(transmit(func([]byte) ([]byte, error) { return []byte{0x90, 0}, nil }), failing{}, nil)
	_, err = recorder.Transmit(t.Context(), unhex(t, "00840000 08"))
	require.NoError(t, err, "the chip did answer")
	require.ErrorContains(t, recorder.Err(), "disk full")
}

func TestReplayer(t *testing.T) {
	t.Parallel()
	const transcript = "# a reading\n> 00A40400 01 A0 00\n< 9000\n\n> 00200000 02 ....\n< 9000\n> 00B20104 02\n< .... 9000\n> 00840000 08\n"
	send := func(player *apdu.Replayer, commands ...string) error {
		for _, c := range commands {
			if _, err := player.Transmit(t.Context(), unhex(t, c)); err != nil {
				return err
			}
		}
		return player.Done()
	}
	for name, test := range map[string]struct {
		commands []string
		want     error
		says     string
	}{
		"as recorded, to where no answer came": {[]string{"00A4040001A000", "00200000021234", "00B2010402", "0084000008"}, apdu.ErrNoAnswer, "exchange 4"},
		"another command":                      {[]string{"00B0"}, apdu.ErrTranscript, "exchange 1: not as in the transcript: expected command 00A40400 of 7 bytes, got 00B0 of 2 bytes: they differ at byte 2"},
		"another byte of data":                 {[]string{"00A4040001A100"}, apdu.ErrTranscript, "exchange 1: not as in the transcript: expected command 00A40400 of 7 bytes, got 00A40400 of 7 bytes: they differ at byte 6"},
		"longer":                               {[]string{"00A4040001A000", "0020000002123456"}, apdu.ErrTranscript, "byte 8"},
		"shorter":                              {[]string{"00A4040001A000", "002000000212"}, apdu.ErrTranscript, "exchange 2: not as in the transcript: expected command 00200000 of 7 bytes, got 00200000 of 6 bytes: they differ at byte 7"},
		"one too many":                         {[]string{"00A4040001A000", "00200000021234", "00B2010402", "0084000008", "0084000008"}, apdu.ErrNoAnswer, "exchange 4"},
		"ended early":                          {[]string{"00A4040001A000"}, apdu.ErrTranscript, "not used from exchange 2: 00200000 00B20104"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exchanges, err := apdu.ParseTranscript(strings.NewReader(transcript))
			require.NoError(t, err)
			player := apdu.NewReplayer(exchanges)
			err = send(player, test.commands...)
			require.ErrorIs(t, err, test.want)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), "1234", "no data in an error")
		})
	}
}

// TestReplayerStops: after the first difference nothing is answered any more,
// and a context that has ended uses nothing up.
func TestReplayerStops(t *testing.T) {
	t.Parallel()
	exchanges, err := apdu.ParseTranscript(strings.NewReader("> 00840000 08\n< .. 9000\n"))
	require.NoError(t, err)
	player := apdu.NewReplayer(exchanges)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = player.Transmit(ended, unhex(t, "00840000 08"))
	require.ErrorIs(t, err, context.Canceled)
	answer, err := player.Transmit(t.Context(), unhex(t, "00840000 08"))
	require.NoError(t, err)
	require.Equal(t, unhex(t, "00 9000"), answer, "a masked byte is played as zero")
	require.NoError(t, player.Done())

	player = apdu.NewReplayer(exchanges)
	_, first := player.Transmit(t.Context(), unhex(t, "00840000 04"))
	require.ErrorIs(t, first, apdu.ErrTranscript)
	_, err = player.Transmit(t.Context(), unhex(t, "00840000 08"))
	require.Equal(t, first, err)
	require.Equal(t, first, player.Done())

	player = apdu.NewReplayer(nil)
	require.NoError(t, player.Done())
	_, err = player.Transmit(t.Context(), unhex(t, "00840000 08"))
	require.ErrorIs(t, err, apdu.ErrTranscript)
	require.ErrorContains(t, err, "exchange 1: not as in the transcript: it ends before command 00840000")
}

func TestTranscriptRefused(t *testing.T) {
	t.Parallel()
	for name, transcript := range map[string]string{
		"no mark":                    "00A40400\n",
		"half a byte":                "> 00A4040\n",
		"not hexadecimal":            "> 00A404ZZ\n",
		"response first":             "< 9000\n",
		"two responses":              "> 00840000\n< 9000\n< 9000\n",
		"response without status":    "> 00840000\n< 90\n",
		"response with status hid":   "> 00840000\n< 01....\n",
		"half of a byte masked only": "> 0084000.\n",
		"time first":                 "= 1ms\n",
		"time of no exchange":        "@ 3B00\n= 1ms\n",
		"two times":                  "> 00840000\n< 9000\n= 1ms\n= 1ms\n",
		"time without unit":          "> 00840000\n< 9000\n= 12\n",
		"time that runs back":        "> 00840000\n< 9000\n= -1ms\n",
		"response after the time":    "> 00840000\n= 1ms\n< 9000\n",
		"connection without card":    "@\n",
		"connection at no time":      "@ 3B00 noon\n",
		"response of another card":   "> 00840000\n@ 3B00\n< 9000\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := apdu.ParseTranscript(strings.NewReader(transcript))
			require.ErrorIs(t, err, apdu.ErrMalformed)
			require.ErrorContains(t, err, "line")
		})
	}
}

// TestConversations: a recorder that is told of connections and has a clock
// writes both, and they are read back. The end of the answer to reset is gone.
func TestConversations(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 9, 30, 0, 0, time.FixedZone("", 8*60*60))
	now := at
	var out bytes.Buffer
	recorder := apdu.NewRecorder(transmit(func([]byte) ([]byte, error) {
		now = now.Add(1500 * time.Microsecond)
		return unhex(t, "9000"), nil
	}), &out, nil)
	recorder.Now = func() time.Time { return now }
	for _, reader := range []string{"Reader\n 1", ""} {
		recorder.Begin(unhex(t, "3B6D0102"), 2, at, reader)
		_, err := recorder.Transmit(t.Context(), unhex(t, "00840000"))
		require.NoError(t, err)
	}
	require.NoError(t, recorder.Err())
	require.Equal(t, "@ 3B6D.... 2026-11-23T09:30:00+08:00 Reader 1\n> 00840000\n< 9000\n= 1.5ms\n"+
		"@ 3B6D.... 2026-11-23T09:30:00+08:00\n> 00840000\n< 9000\n= 1.5ms\n", out.String())
	found, err := apdu.ParseConversations(&out)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, "Reader 1", found[0].Reader)
	require.Equal(t, "3B6D....", found[0].ATR.String())
	require.True(t, at.Equal(found[1].At))
	require.Equal(t, 1500*time.Microsecond, found[1].Exchanges[0].Took)
	require.Equal(t, 6, found[1].Exchanges[0].Line)
}

func FuzzTranscript(f *testing.F) {
	f.Add("@ 3B6D.... 2026-11-23T09:30:00+08:00 Reader 1\n> 00A40400\n< 9000\n= 1.5ms\n")
	f.Add("> 00A40400\n< 9000\n")
	f.Add("# x\n> 00 20 00 00 02 .. ..\n\n< 63C2\n> 0084000008\n")
	f.Fuzz(func(t *testing.T, text string) {
		conversations, err := apdu.ParseConversations(strings.NewReader(text))
		if err != nil {
			return
		}
		var again strings.Builder
		for _, c := range conversations {
			again.WriteString(c.String())
		}
		parsed, err := apdu.ParseConversations(strings.NewReader(again.String()))
		require.NoError(t, err)
		require.Equal(t, len(conversations), len(parsed))
		for i, c := range conversations {
			require.Equal(t, c.String(), parsed[i].String())
		}
	})
}

package indicator_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
	"onecard/registry/indicator"
)

func tables(t require.TestingT) indicator.Tables {
	all, err := indicator.All()
	require.NoError(t, err)
	return all
}

// TestOwn: our sets of values are those that the records and the database know.
func TestOwn(t *testing.T) {
	t.Parallel()
	values := func(name string) []string {
		field, ok := indicator.Own(name)
		require.True(t, ok, name)
		return slices.Sorted(maps.Keys(field.Values()))
	}
	var statuses []string
	for _, s := range issuance.Cards.States {
		statuses = append(statuses, s.Name)
		field, _ := indicator.Own("cardStatus")
		require.Equal(t, s.Text.ZH, field.Values()[s.Name].ZH)
	}
	slices.Sort(statuses)
	require.Equal(t, statuses, values("cardStatus"))
	require.Equal(t, slices.Sorted(maps.Keys(registry.Police.States)), values("policeState"))
	require.Equal(t, slices.Sorted(maps.Keys(registry.Ministry.States)), values("ministryState"))
	require.Len(t, values("ethnic"), len(gb.EthnicGroups()))
	for _, sex := range values("sex") {
		_, err := gb.ParseSex(sex)
		require.NoError(t, err)
	}
	text, err := os.ReadFile("../migrations/0014_holders.sql")
	require.NoError(t, err)
	for name, column := range map[string]string{
		"idType": "id_type TEXT", "householdKind": "household_kind TEXT", "life": "life_state TEXT", "insured": "kind       TEXT", "insuredState": "state      TEXT", "oldCardState": "state      TEXT",
	} {
		var found []string
		for _, check := range regexp.MustCompile(column+`[^\n]* IN \(([^)]*)\)`).FindAllStringSubmatch(string(text), -1) {
			list := strings.Split(strings.ReplaceAll(check[1], "'", ""), ", ")
			slices.Sort(list)
			found = append(found, strings.Join(list, " "))
		}
		require.Contains(t, found, strings.Join(values(name), " "), name)
	}
}

// TestShandong: 3 and 4 do not mean there what they mean here, and what 3 means
// here is told on the safe side.
func TestShandong(t *testing.T) {
	t.Parallel()
	table := tables(t)["shandong"]
	for ours, want := range map[string][2]string{
		"0": {"A", "0"}, "1": {"1", "1"}, "2": {"2", "2"}, "3": {"2", "2"}, "4": {"B", "4"}, "9": {"4", "9"},
	} {
		record := indicator.Record{"cardNumber": "100000008", "chipId": strings.Repeat("6", 32), "cardStatus": ours, "at": "2026-03-02T01:00:00Z"}
		content, err := table.Encode(registry.TopicCardStatus, record)
		require.NoError(t, err)
		require.Equal(t, "100000008|"+record["chipId"]+"|"+want[0]+"|20260302090000", string(content))
		back, err := table.Decode(registry.TopicCardStatus, content)
		require.NoError(t, err)
		require.Equal(t, want[1], back["cardStatus"])
	}
	back, err := table.Decode(registry.TopicCardStatus, []byte("100000008|"+strings.Repeat("6", 32)+"|3|20260302090000"))
	require.NoError(t, err)
	require.Equal(t, "9", back["cardStatus"], "挂失后注销 is cancelled")
}

func TestRefused(t *testing.T) {
	t.Parallel()
	all := tables(t)
	person := indicator.Record{
		"person": "018f0000-0000-7000-8000-000000000001", "idType": "resident", "idNumber": "11010519491231002X", "name": "㛃",
		"sex": "1", "birth": "1949-12-31", "place": "630102", "ethnic": "04", "nationality": "CHN",
	}
	with := func(field, value string) indicator.Record {
		changed := maps.Clone(person)
		changed[field] = value
		return changed
	}
	narrow, err := indicator.Parse("gbk", []byte("title: {zh: 甲, en: a}\nencoding: GBK\nform: delimited\nseparator: '|'\nfields: {name: {code: AAC003, meaning: 姓名, bytes: 4}, sex: {code: S, meaning: 性别, bytes: 1, standard: true, none: ['0']}}\nmessages: {m: [name, sex]}"))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		table       *indicator.Table
		topic       string
		record      indicator.Record
		field, says string
	}{
		"a character that GBK lacks": {narrow, "m", with("name", "𠅤"), "name (AAC003)", "GBK"},
		"too long":                   {narrow, "m", with("name", "扎西卓"), "name (AAC003)", "4 字节（GBK），实为 6"},
		"no code for it":             {narrow, "m", indicator.Record{"name": "扎西", "sex": "0"}, "sex (S)", "1 男"},
		"not ours":                   {all["police"], registry.TopicPoliceCheck, with("idType", "library"), "idType (ZJLX)", "居民身份证"},
		"the separator":              {all["police"], registry.TopicPoliceCheck, with("name", "a|b"), "name (AAC003)", "分隔符"},
		"a line break":               {all["ministry"], registry.TopicMinistryCheck, with("name", "a\nb"), "name (AAC003)", "控制字符"},
		"empty":                      {all["police"], registry.TopicPoliceCheck, with("name", ""), "name (AAC003)", "不能为空"},
		"no day":                     {all["police"], registry.TopicPoliceCheck, with("birth", "1949"), "birth (AAC006)", "2006-01-02"},
		"no such message":            {all["bank"], registry.TopicPoliceCheck, person, "topic", "bank"},
	} {
		_, err := c.table.Encode(c.topic, c.record)
		var field *registry.FieldError
		require.ErrorAs(t, err, &field, name)
		require.Equal(t, c.field, field.Field, name)
		require.Contains(t, field.ZH, c.says, name)
		require.NotContains(t, err.Error(), person["idNumber"])
	}
	for content, c := range map[string][2]string{
		"x|77":                          {"policeState (GONGANSTATUS)", "01 更新"},
		"x":                             {"body", "应有 2 项"},
		"x|02|":                         {"body", "应有 2 项"},
		"|02":                           {"person (XXBH)", "不能为空"},
		"\xff\xff|02":                   {"body", "GB 18030"},
		"x|002":                         {"policeState (GONGANSTATUS)", "2 字节"},
		"x\n|02":                        {"person (XXBH)", "控制字符"},
		strings.Repeat("x", 37) + "|02": {"person (XXBH)", "36 字节"},
	} {
		_, err := all["police"].Decode(registry.TopicPoliceResult, []byte(content))
		var field *registry.FieldError
		require.ErrorAs(t, err, &field, content)
		require.Equal(t, c[0], field.Field, content)
		require.Contains(t, field.ZH, c[1], content)
	}
	for _, content := range []string{
		``, `[]`, `{}`, `{"BAZ805":"x"}`, `{"BAZ805":"x","CKKSTATUS":"0","X":"1"}`, `{"BAZ805":"x","BAZ805":"y","CKKSTATUS":"0"}`,
		`{"BAZ805":"x","CKKSTATUS":0}`, `{"BAZ805":"x","CKKSTATUS":"0"}x`, "{\"BAZ805\":\"\xff\",\"CKKSTATUS\":\"0\"}", `{"BAZ805":"x","CKKSTATUS":"7"}`,
	} {
		_, err := all["ministry"].Decode(registry.TopicMinistryResult, []byte(content))
		require.ErrorIs(t, err, registry.ErrInvalid, content)
	}
}

// name returns a table with a message that tells a name under this rule.
func name(t require.TestingT, encoding, rule string) *indicator.Table {
	table, err := indicator.Parse("x", []byte("title: {zh: 甲, en: a}\nencoding: "+encoding+"\nform: delimited\nseparator: '|'\nfields: {name: {code: AAC003, meaning: 姓名, "+rule+"}}\nmessages: {m: [name], none: []}"))
	require.NoError(t, err)
	return table
}

// TestNameBytes: the bytes are those that GB 18030-2022 and its code tables give;
// the message has the same, and nothing is cut or replaced unless the table says so.
func TestNameBytes(t *testing.T) {
	t.Parallel()
	for about, c := range map[string]struct {
		encoding, rule, name, bytes string
		cut                         bool
	}{
		"dot in GBK":              {"GBK", "bytes: 50", "扎西·多杰", "\xd4\xfa\xce\xf7\xa1\xa4\xb6\xe0\xbd\xdc", false},
		"rare in GB 18030":        {"GB 18030", "bytes: 50", "㛃", "\x82\x30\xb7\x31", false},
		"rare beyond the plane":   {"GB 18030", "bytes: 50", "𠅤", "\x95\x32\xa6\x32", false},
		"replaced in GBK":         {"GBK", "bytes: 50, replace: '?'", "王㛃", "\xcd\xf5?", false},
		"replaced and cut":        {"GBK", "bytes: 4, cut: true, replace: '*'", "王㛃王王", "\xcd\xf5*", true},
		"cut before half a char":  {"GBK", "bytes: 5, cut: true", "扎西·", "\xd4\xfa\xce\xf7", true},
		"fits to the last byte":   {"GBK", "bytes: 4, cut: true", "扎西", "\xd4\xfa\xce\xf7", false},
		"cut in four-byte script": {"GB 18030", "bytes: 7, cut: true", "王㛃㛃", "\xcd\xf5\x82\x30\xb7\x31", true},
		"UTF-8":                   {"UTF-8", "bytes: 7, cut: true", "扎西多", "扎西", true},
		"not replaced":            {"GBK", "bytes: 50, cut: true", "王㛃", "", false},
		"not cut":                 {"GBK", "bytes: 5, replace: '?'", "扎西·", "", false},
		"a wrong text":            {"GBK", "bytes: 50, replace: '?'", "\xff", "", false},
	} {
		table := name(t, c.encoding, c.rule)
		record := indicator.Record{"name": c.name}
		told, ok, err := table.NameBytes("m", "jinan", record)
		content, failed := table.Encode("m", record)
		require.Equal(t, err, failed, about)
		if c.bytes == "" {
			require.ErrorIs(t, err, registry.ErrInvalid, about)
			continue
		}
		require.NoError(t, err, about)
		require.True(t, ok, about)
		require.Equal(t, registry.PeerName{Peer: "jinan", Encoding: c.encoding, Bytes: []byte(c.bytes), Cut: c.cut}, told, about)
		require.Equal(t, c.bytes, string(content), about)
		_, ok, err = table.NameBytes("none", "jinan", record)
		require.NoError(t, err, about)
		require.False(t, ok, "no name is told")
	}
	require.Equal(t, 30, tables(t)["bank"].Fields["name"].Bytes)
}

// FuzzNameBytes: never above the limit, never half a character.
func FuzzNameBytes(f *testing.F) {
	f.Add("扎西·多杰", false)
	f.Add("王㛃", true)
	wide, narrow := name(f, "GB 18030", "bytes: 5, cut: true"), name(f, "GBK", "bytes: 5, cut: true, replace: '?'")
	f.Fuzz(func(t *testing.T, name string, gbk bool) {
		table := wide
		if gbk {
			table = narrow
		}
		told, _, err := table.NameBytes("m", "x", indicator.Record{"name": name})
		if err != nil {
			require.ErrorIs(t, err, registry.ErrInvalid)
			return
		}
		require.LessOrEqual(t, len(told.Bytes), 5)
		back, err := table.Decode("m", told.Bytes)
		require.NoError(t, err)
		again, _, err := table.NameBytes("m", "x", back)
		require.NoError(t, err)
		require.Equal(t, told.Bytes, again.Bytes)
		require.False(t, again.Cut)
	})
}

// TestOfMessage: what is told of a card is said under our own names; what is no
// text, and what is none of ours, stops no message.
func TestOfMessage(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(issuance.StatusMessage{
		CardNumber: "100000008", ChipID: "63", Status: "2", Event: "reportLoss", Version: 7, Consequences: []string{"a", "b"}, At: time.Date(2026, 3, 2, 1, 0, 0, 0, time.UTC),
	})
	require.NoError(t, err)
	var record indicator.Record
	require.NoError(t, json.Unmarshal(body, &record))
	require.Equal(t, indicator.Record{
		"cardNumber": "100000008", "chipId": "63", "cardStatus": "2", "event": "reportLoss", "version": "7", "consequences": "a b", "at": "2026-03-02T01:00:00Z",
	}, record)
	for name, table := range tables(t) {
		if _, told := table.Messages[registry.TopicCardStatus]; told {
			_, err := table.Encode(registry.TopicCardStatus, record)
			require.NoError(t, err, name)
		}
	}
	require.NoError(t, json.Unmarshal([]byte(`{"name":"x","new":{"a":[1]}}`), &record))
	require.Equal(t, indicator.Record{"name": "x"}, record)
	for _, wrong := range []string{`[]`, `{"name":{}}`, `{"name":[1]}`, `{"name":true}`} {
		require.Error(t, json.Unmarshal([]byte(wrong), &record), wrong)
	}
}

// TestTablesRefused: a table that can be read in two ways, or not at all, is not
// taken.
func TestTablesRefused(t *testing.T) {
	t.Parallel()
	const good = "title: {zh: 甲, en: a}\nencoding: UTF-8\nform: json\nfields:\n  name: {code: AAC003, meaning: 姓名, bytes: 50}\n" +
		"  sex: {code: AAC004, meaning: 性别, bytes: 1, codes: {'0': '9', '1': '1', '2': '2', '9': '9'}, back: {'9': '9'}}\nmessages: {m: [name, sex]}\n"
	_, err := indicator.Parse("x", []byte(good))
	require.NoError(t, err)
	for name, c := range map[string][3]string{
		"two values, one code":      {", back: {'9': '9'}", "", "could be 0 or 9"},
		"a way back to neither":     {"back: {'9': '9'}", "back: {'9': '1'}", "not written for"},
		"a way back from nowhere":   {"back: {'9': '9'}", "back: {'9': '9', '7': '1'}", "stands nowhere"},
		"a value without a code":    {"'1': '1', ", "", "value 1 (男) has no code"},
		"a value that is not ours":  {"'1': '1'", "'1': '1', '5': '5'", "value 5: not one of ours"},
		"both a code and none":      {"back:", "none: ['1'], back:", "both a code and none"},
		"passed through unmapped":   {"codes: {'0': '9', '1': '1', '2': '2', '9': '9'}, back: {'9': '9'}", "optional: true", "has no code"},
		"a code that is too long":   {"'1': '1'", "'1': '11'", "1 to 1 bytes"},
		"an unknown field":          {"name: {code: AAC003", "nickname: {code: AAC003", "not one of ours"},
		"one code for two fields":   {"AAC004", "AAC003", "both name and sex"},
		"no meaning":                {"meaning: 姓名, ", "", "are needed"},
		"no length":                 {", bytes: 50", "", "are needed"},
		"an unknown encoding":       {"UTF-8", "Big5", "encoding"},
		"JSON in GBK":               {"UTF-8", "GBK", "JSON is UTF-8"},
		"an unknown form":           {"form: json", "form: xml", "form"},
		"no separator":              {"form: json", "form: delimited", "separator"},
		"a message of other fields": {"[name, sex]", "[name, birth]", "birth"},
		"a field twice":             {"[name, sex]", "[name, name]", "twice"},
		"codes of no field of them": {"bytes: 50", "bytes: 50, standard: true", "no field of codes"},
		"a code cut":                {"bytes: 1,", "bytes: 1, cut: true,", "for texts"},
		"cut to nothing":            {"bytes: 50", "bytes: 3, cut: true", "up to 4 bytes"},
		"replaced in vain":          {"bytes: 50", "bytes: 50, replace: '?'", "with GBK alone"},
		"an unknown key":            {"form: json", "form: json\ncolour: red", "colour"},
	} {
		text := strings.Replace(good, c[0], c[1], 1)
		require.NotEqual(t, good, text, name)
		_, err := indicator.Parse("x", []byte(text))
		require.ErrorIs(t, err, indicator.ErrTable, name)
		require.ErrorContains(t, err, c[2], name)
	}
}

// anyRecord draws a record for a message of a table. Values that the peer has no
// code for, and those that its codes are not read as, are left out.
func anyRecord(t *rapid.T, table *indicator.Table, topic string) indicator.Record {
	record := indicator.Record{}
	for _, name := range table.Messages[topic] {
		rule, field := table.Fields[name], func() indicator.Field { f, _ := indicator.Own(name); return f }()
		switch {
		case field.Values() != nil:
			record[name] = rapid.SampledFrom(slices.Sorted(maps.Values(table.Codes(name)))).Draw(t, name)
		case field.Form == "day":
			record[name] = time.Unix(rapid.Int64Range(-2e9, 4e9).Draw(t, name), 0).UTC().Format(time.DateOnly)
		case field.Form == "instant":
			record[name] = time.Unix(rapid.Int64Range(0, 4e9).Draw(t, name), 0).In(time.FixedZone("", 8*60*60)).Format(time.RFC3339)
		default:
			letters := rapid.StringOfN(rapid.RuneFrom([]rune("扎西·多杰卓玛aZ09 ()-/|,\"\\<&马囧")), 1, rule.Bytes, -1).Draw(t, name)
			record[name] = letters
		}
	}
	return record
}

// TestThereAndBack: what is written is read back as it was, of every table and
// message; what cannot be written is refused by name.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	read, err := indicator.Read(os.DirFS("peers"))
	require.NoError(t, err)
	for name, table := range read {
		table.Messages["every field"] = slices.Sorted(maps.Keys(table.Fields))
		for topic := range table.Messages {
			t.Run(name+"/"+topic, rapid.MakeCheck(func(t *rapid.T) {
				record := anyRecord(t, table, topic)
				content, err := table.Encode(topic, record)
				if err != nil {
					require.ErrorIs(t, err, registry.ErrInvalid)
					return
				}
				back, err := table.Decode(topic, content)
				require.NoError(t, err)
				if rule := table.Fields["name"]; rule != nil && (rule.Cut || rule.Replace != "") && slices.Contains(table.Messages[topic], "name") {
					require.LessOrEqual(t, len([]rune(back["name"])), len([]rune(record["name"])))
					record["name"] = back["name"] // what it became: TestNameBytes
				}
				require.Equal(t, record, back)
			}))
		}
	}
}

// FuzzDecode: whatever a peer sends is read or refused; what was read is written
// and read again as the same.
func FuzzDecode(f *testing.F) {
	f.Add("shandong", registry.TopicCardStatus, []byte("100000008|66666666666666666666666666666666|B|20260302090000"))
	f.Add("police", registry.TopicPoliceResult, []byte("018f0000-0000-7000-8000-000000000001|02"))
	f.Add("ministry", registry.TopicMinistryResult, []byte(`{"BAZ805":"x","CKKSTATUS":"1"}`))
	f.Add("employment", registry.TopicCardStatus, []byte("100000008,9,20260302090000"))
	all := tables(f)
	f.Fuzz(func(t *testing.T, peer, topic string, content []byte) {
		table := all[peer]
		if table == nil {
			return
		}
		record, err := table.Decode(topic, content)
		if err != nil {
			require.ErrorIs(t, err, registry.ErrInvalid)
			return
		}
		written, err := table.Encode(topic, record)
		require.NoError(t, err)
		again, err := table.Decode(topic, written)
		require.NoError(t, err)
		require.Equal(t, record, again)
	})
}

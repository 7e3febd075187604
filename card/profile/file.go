package profile

// The shape of a profile file. Unknown keys are refused.
type (
	fileProfile struct {
		Version     string
		Extends     string
		Areas       []string
		Title       Text
		Algorithm   string
		KeySuffix   string `yaml:"keySuffix"`
		Environment hexBytes
		FCI         hexBytes
		ATRs        []fileATR `yaml:"atrs"`
		PIN         struct {
			Digits, Tries int
			Source        string
		} `yaml:"pin"`
		Choices struct {
			KeyVersion fileChoice[hexBytes] `yaml:"keyVersion"`
			Protection fileChoice[string]
			NamePad    fileChoice[hexByte] `yaml:"namePad"`
			Amounts    fileChoice[string]
			Charset    fileChoice[string]
		}
		Account *fileAccount
		Finance *fileFinance
		Maker   struct {
			Name, IV, Transport, Master string
			Area, ATR                   hexBytes
			Assumed                     bool
			Source                      string
		}
		Usages map[string]hexByte
		Scopes []fileScope
	}
	fileATR struct {
		Value, Mask         hexBytes
		Historical, Trailer int
		Title               Text
		Source              string
		Assumed             bool
	}
	fileChoice[T any] struct {
		Value   T
		Assumed bool
		Source  string
	}
	fileAccount struct {
		Scope, Balance, Records          string
		Debit, Credit                    fileMovement
		Prove                            hexBytes
		Opening, Opened, Request, Answer []string
		Factor, MAC1, MAC2, TAC          []string
		Assumed                          bool
		Source                           string
	}
	fileMovement struct {
		Key                 string
		Kind                hexByte
		Initialize, Command hexBytes
	}
	fileFinance struct {
		AIDs    []hexBytes `yaml:"aids"`
		Records []struct {
			SFI    int `yaml:"sfi"`
			Record int
		}
		Tag, Track2 hexBytes
		Source      string
	}
	fileScope struct {
		Index    int
		Name     string
		Title    Text
		FID, AID hexBytes
		Keys     []fileKey
		Files    []fileFile
	}
	fileKey struct {
		Name    string
		ID      hexByte
		Purpose string
		Tries   byte
		PSAM    struct{ ID, Usage hexByte } `yaml:"psam"`
		Address string
		Source  string
		Assumed bool
	}
	fileFile struct {
		FID           hexBytes
		Title         Text
		Kind          FileKind
		Size, Records int
		Read, Write   string
		Source        string
		Assumed       bool
		Elements      []fileElement
		Fields        []fileElement
	}
	fileElement struct {
		Rec, Times, Len int
		Tag             hexByte
		As, Name        string
		ZH              string `yaml:"zh"`
		EN              string `yaml:"en"`
		Note, Read      string
		Assumed         bool
		Inner           []fileElement
	}
)

package registry

import (
	"bytes"
	_ "embed"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed attachments.yaml
var attachmentRules []byte

// AttachmentKind says what an attachment of a kind has to be (附件规则).
type AttachmentKind struct {
	Kind    string   `yaml:"kind"`
	ZH      string   `yaml:"zh"`
	EN      string   `yaml:"en"`
	Media   []string `yaml:"media"`
	Single  bool     `yaml:"single"` // a new one takes the place of the one before
	Open    bool     `yaml:"open"`   // shown without a reason
	Width   int      `yaml:"width"`  // in pixels; 0: any
	Height  int      `yaml:"height"`
	Assumed bool     `yaml:"assumed"` // no public source confirms it
}

type attachmentPolicy struct {
	Pixels int              `yaml:"pixels"` // of a picture at most
	Kinds  []AttachmentKind `yaml:"kinds"`
}

// attachmentPolicyOf reads the rules, once.
var attachmentPolicyOf = sync.OnceValue(func() attachmentPolicy {
	var policy attachmentPolicy
	decoder := yaml.NewDecoder(bytes.NewReader(attachmentRules))
	decoder.KnownFields(true)
	if err := decoder.Decode(&policy); err != nil {
		panic(fmt.Sprintf("registry: attachments.yaml: %v", err)) // embedded: a test reads it
	}
	return policy
})

// AttachmentKinds returns what may be attached.
func AttachmentKinds() []AttachmentKind { return attachmentPolicyOf().Kinds }

func attachmentKind(kind string) (AttachmentKind, error) {
	kinds := AttachmentKinds()
	i := slices.IndexFunc(kinds, func(k AttachmentKind) bool { return k.Kind == kind })
	if i < 0 {
		return AttachmentKind{}, &FieldError{Field: "kind", ZH: "应为已知的附件类别", EN: "a known kind of attachment"}
	}
	return kinds[i], nil
}

// MaxAttachment is the size of an attachment at most, in bytes.
const MaxAttachment = 4 << 20

// Content is what was brought for a file, looked at (附件内容). It is made by
// [CheckContent] before a transaction begins: to decode a picture takes time.
type Content struct {
	kind  AttachmentKind
	media string
	told  []byte // as it came
	clean []byte // as it is stored
}

// quality of a picture that is written anew: above it one sees no difference.
const quality = 92

// CheckContent decodes what was brought and takes from a picture all that is
// not the picture: place and time of a photograph, the camera, comments. A PDF
// is known by its beginning and end and stays as it is. Errors: ErrInvalid.
func CheckContent(kind string, content []byte) (Content, error) {
	rule, err := attachmentKind(kind)
	if err != nil {
		return Content{}, err
	}
	if len(content) == 0 || len(content) > MaxAttachment {
		return Content{}, &FieldError{Field: "content", ZH: "应为 1 字节至 4 MiB", EN: "1 byte to 4 MiB"}
	}
	c := Content{kind: rule, told: content, clean: content, media: mediaOf(content)}
	if !slices.Contains(rule.Media, c.media) {
		list := strings.NewReplacer("image/", "", "application/", "").Replace(strings.Join(rule.Media, ", "))
		return Content{}, &FieldError{Field: "content", ZH: "应为其中一种文件：" + list, EN: "a file of one of these kinds: " + list}
	}
	if c.media != mediaPDF {
		c.clean, err = rule.rewrite(content)
	}
	return c, err
}

const (
	mediaJPEG = "image/jpeg"
	mediaPNG  = "image/png"
	mediaPDF  = "application/pdf"
)

// mediaOf knows a file by what is in it; "" is none that is taken.
func mediaOf(content []byte) string {
	switch {
	case bytes.HasPrefix(content, []byte("\xFF\xD8\xFF")):
		return mediaJPEG
	case bytes.HasPrefix(content, []byte("\x89PNG\r\n\x1A\n")):
		return mediaPNG
	case bytes.HasPrefix(content, []byte("%PDF-")) && bytes.Contains(content[max(0, len(content)-1024):], []byte("%%EOF")): // ISO 32000-1, 7.5
		return mediaPDF
	default:
		return ""
	}
}

// rewrite decodes a picture whose size allows it and writes it anew.
func (k AttachmentKind) rewrite(content []byte) ([]byte, error) {
	damaged := &FieldError{Field: "content", ZH: "图片无法识别或已损坏", EN: "a picture that can be decoded"}
	size, format, err := image.DecodeConfig(bytes.NewReader(content))
	if err != nil || size.Width < 1 || size.Height < 1 {
		return nil, damaged
	}
	most := attachmentPolicyOf().Pixels
	if size.Width > most/size.Height {
		return nil, &FieldError{Field: "content", ZH: fmt.Sprintf("图片最多 %d 万像素", most/10_000), EN: fmt.Sprintf("a picture of at most %d million pixels", most/1_000_000)}
	}
	if k.Width > 0 && (size.Width != k.Width || size.Height != k.Height) {
		return nil, &FieldError{
			Field: "content", ZH: fmt.Sprintf("%s应为 %d×%d 像素，实为 %d×%d", k.ZH, k.Width, k.Height, size.Width, size.Height),
			EN: fmt.Sprintf("a %s of %d×%d pixels, it has %d×%d", k.EN, k.Width, k.Height, size.Width, size.Height),
		}
	}
	picture, _, err := image.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, damaged
	}
	var clean bytes.Buffer
	if format == "png" {
		err = png.Encode(&clean, picture)
	} else {
		err = jpeg.Encode(&clean, picture, &jpeg.Options{Quality: quality})
	}
	if err != nil {
		return nil, damaged
	}
	if clean.Len() > MaxAttachment {
		return nil, &FieldError{Field: "content", ZH: "图片太大，请缩小后重试", EN: "a smaller picture: written anew it is above 4 MiB"}
	}
	return clean.Bytes(), nil
}

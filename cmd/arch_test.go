// Package cmd_test holds the architecture as tests: who may import whom, that
// every package says what it is, and the limits of size that keep a file
// readable. docs/architecture.md draws the same table.
package cmd_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "onecard"

// allowed says which packages of ours a package may import, and why. What a
// line does not name is refused; tests may import anything.
var allowed = map[string]struct {
	imports []string
	why     string
}{
	"internal/memory":         {nil, "how the programs trade memory for time"},
	"internal/gb":             {nil, "the national codes stand alone; anyone may use them"},
	"apdu":                    {nil, "ISO 7816 knows nothing of social security"},
	"apdu/pcsc":               {[]string{"apdu"}, "the only user of the PC/SC library"},
	"card/profile":            {[]string{"apdu"}, "a chip as data; what ISO 7816 says of an answer to reset it need not say again"},
	"card":                    {[]string{"apdu", "card/profile", "internal/gb"}, "operations are scripts without I/O, without keys and without a database"},
	"card/face":               {[]string{"internal/gb"}, "the printed side of a card: a layout, fonts, a document; without a database"},
	"issuance/ministry":       {[]string{"internal/gb", "issuance", "registry", "issuance/tell"}, "what the ministry is told; HTTP is its transport"},
	"internal/sim/ministry":   {[]string{"internal/signed"}, "a stand-in for the ministry, with its own reading of the messages"},
	"issuance/prints":         {[]string{"card/face", "card/profile", "issuance", "registry"}, "what is printed on a card, and the journal of it"},
	"card/order":              {[]string{"apdu", "card", "internal/signed"}, "a script on its way from the province to a counter; both ends use it"},
	"card/psam":               {[]string{"apdu", "card/profile"}, "a terminal's security module: the second card in the second slot"},
	"card/trace":              {[]string{"apdu", "card", "card/profile"}, "decodes what passed between reader and chip; without I/O"},
	"card/chip":               {[]string{"apdu", "card/profile"}, "the software chip has its own encoder, so that it can contradict ours"},
	"keys/keyblock":           {nil, "the form of a key block (TR-31), whatever the key is for"},
	"keys":                    {[]string{"keys/keyblock"}, "the keeper of keys depends on nobody but the form of a key block"},
	"keys/keystest":           {[]string{"keys"}, "the conformance suite of keepers"},
	"internal/signed":         {nil, "the form of what the province signs"},
	"internal/pinyin":         {nil, "how names are read"},
	"internal/sheet":          {nil, "tables in files, whatever they tell"},
	"registry/indicator":      {[]string{"internal/gb", "registry"}, "the mapping tables of peers as data, and the engine over them; no database"},
	"registry/stores":         {[]string{"internal/gb", "internal/signed", "registry", "registry/indicator"}, "exchange and decision store, and the flow between them and production"},
	"api/peers":               {[]string{"registry", "registry/stores"}, "HTTP for other authorities: the exchange store and nothing else"},
	"registry/province":       {[]string{"internal/gb"}, "made-up residents for trials and measurements; no database"},
	"registry/inventory":      {[]string{"registry"}, "what every column holds, as data; the change of the field key takes its columns from there"},
	"registry/intake":         {[]string{"internal/gb", "internal/sheet", "registry", "registry/indicator"}, "residents of other systems: layouts as data, checks, the run of an import"},
	"registry/audit":          {[]string{"internal/signed"}, "the form of the audit log; verifies an export with no database"},
	"registry":                {[]string{"card", "internal/gb", "internal/pinyin", "registry/audit"}, "facts of record"},
	"registry/sample":         {[]string{"registry", "internal/gb"}, "the sample province"},
	"registry/registrytest":   {[]string{"registry", "internal/pgtest"}, "a database for each test"},
	"issuance/session":        {[]string{"registry", "card", "apdu", "card/profile"}, "chip work between two scripts"},
	"issuance/collective":     {[]string{"issuance", "registry", "card", "internal/gb", "internal/sheet"}, "lists of employers, schools and villages: each row an application"},
	"registry/portrait":       {nil, "what is wrong with a photograph; no database"},
	"issuance/notice":         {[]string{"internal/gb", "issuance", "issuance/tell", "registry", "internal/signed"}, "the words for holders and the way to their telephones"},
	"issuance/tell":           {[]string{"registry"}, "what peers must know, and whether they do"},
	"issuance":                {[]string{"issuance/session", "issuance/tell", "registry", "card", "card/profile", "apdu", "internal/gb"}, "the life of an application and of a card; keys come in as an interface"},
	"issuance/production":     {[]string{"card", "card/profile", "internal/gb", "internal/signed", "issuance", "registry"}, "cards made by a maker; keys come in as an interface, accounts as another"},
	"internal/sim/maker":      {[]string{"apdu", "card/chip", "card/profile", "internal/signed", "keys/keyblock"}, "a simulated card maker: neither the province's keys nor its code"},
	"issuance/stock":          {[]string{"issuance", "registry", "card/profile", "internal/gb", "internal/sheet"}, "where the blank and the finished cards are; issuance takes a blank through an interface"},
	"exchange":                {[]string{"registry", "internal/gb"}, "card transactions; proofs and back ends come in as interfaces"},
	"exchange/insurance":      {[]string{"exchange", "registry", "internal/gb"}, "a back end behind the same interface as any other"},
	"api/client":              {nil, "generated; what a counter links must stay small"},
	"api/pki":                 {nil, "certificates of the platform and of workstations"},
	"api":                     {[]string{"api/pki", "issuance", "issuance/session", "exchange", "exchange/authentication", "registry", "card", "card/order", "card/profile", "apdu", "internal/gb", "issuance/prints", "issuance/stock", "issuance/bank", "issuance/production", "issuance/collective", "registry/portrait"}, "HTTP in, domain out"},
	"terminal":                {[]string{"card", "card/order", "card/profile", "apdu", "api/client", "internal/gb", "internal/signed"}, "what runs at a counter: neither keys nor database"},
	"terminal/driver":         {[]string{"apdu", "card", "card/profile"}, "the national driver's steps: work on the card alone, without a connection"},
	"terminal/desk":           {[]string{"terminal", "api/client", "internal/gb", "card"}, "the counter's page; card for what is written on a chip"},
	"internal/rig":            {nil, "starts programs of others for trials and tests"},
	"internal/pgtest":         {nil, "a throw-away PostgreSQL"},
	"cmd/onecard":             {[]string{"internal/signed", "api", "api/client", "api/pki", "card", "card/profile", "exchange", "exchange/insurance", "internal/gb", "internal/rig", "issuance", "issuance/notice", "issuance/session", "issuance/tell", "keys", "keys/remote", "registry", "registry/sample", "api/peers", "registry/audit", "registry/intake", "registry/province", "registry/stores", "exchange/authentication", "registry/inventory", "registry/peername", "card/face", "issuance/ministry", "issuance/prints", "issuance/bank", "issuance/production", "issuance/stock", "registry/indicator", "issuance/collective", "internal/memory"}, "wires the province; with cmd/keeper the only importer of keys"},
	"cmd/counter":             {[]string{"card/psam", "terminal", "terminal/desk", "apdu", "apdu/pcsc", "api/client", "card", "card/order", "card/profile", "card/trace", "terminal/driver"}, "wires a counter"},
	"issuance/bank":           {[]string{"card/profile", "internal/gb", "internal/signed", "issuance", "issuance/tell", "registry"}, "the bank's side of a card: orders, accounts, fees, reconciliation; each bank over HTTPS and by files"},
	"internal/sim/bank":       {[]string{"api/pki", "internal/signed"}, "a bank that does not exist; its side of the protocol is code of its own"},
	"cmd/partnersim":          {[]string{"api/pki", "internal/sim/bank", "internal/sim/maker", "internal/sim/ministry", "card/profile"}, "banks and other partners, for trials"},
	"cmd/cardsim":             {[]string{"keys/keyblock", "card/chip", "card/profile", "card/chip/hostile"}, "virtual chips"},
	"keys/pkcs11":             {[]string{"keys"}, "the keeper over a token; cgo"},
	"keys/remote":             {[]string{"keys"}, "the keeper in a process of its own: both ends of the socket"},
	"keys/pkcs11/pkcs11test":  {[]string{"keys/keystest", "keys/pkcs11"}, "a token for each test"},
	"cmd/keeper":              {[]string{"keys", "keys/pkcs11", "keys/remote"}, "the keeper's process: the only one that links a token's library"},
	"exchange/authentication": {[]string{"exchange", "registry", "card/profile", "internal/gb"}, "authentication data for terminals without a security module; keys and cards come in as interfaces"},
	"card/chip/hostile":       {[]string{"apdu"}, "stands before any chip; knows no profile and no key"},
}

// reserved lists modules that only the packages named may import, for what
// they bring with them.
var reserved = map[string][]string{
	"github.com/ebfe/scard":        {"apdu/pcsc"},
	"github.com/miekg/pkcs11":      {"keys/pkcs11"},
	"github.com/labstack/echo/v4":  {"api", "api/peers"},
	"gorm.io/gorm":                 {"registry", "registry/sample", "issuance", "issuance/session", "issuance/tell", "exchange", "exchange/insurance", "exchange/authentication", "registry/stores", "issuance/prints", "issuance/ministry", "issuance/bank", "issuance/production", "issuance/stock", "issuance/collective"},
	"github.com/emmansun/gmsm":     {"keys", "keys/keyblock", "keys/keystest", "card/chip", "registry", "registry/audit", "internal/sim/maker"},
	"net/http":                     {"api", "api/peers", "api/client", "api/pki", "terminal", "terminal/desk", "keys/remote", "cmd/onecard", "cmd/counter", "issuance/ministry", "internal/sim/ministry", "cmd/partnersim", "issuance/bank", "internal/sim/bank"},
	"github.com/glebarez/sqlite":   {"registry"},
	"github.com/jackc/pgx/v5":      {"registry", "internal/pgtest"},
	"github.com/pressly/goose/v3":  {"registry"},
	"codeberg.org/go-pdf/fpdf":     {"card/face"},
	"github.com/chromedp/chromedp": {},
	"github.com/esimov/pigo":       {"registry/portrait"},
}

// linked lists what the finished programs must not contain, with all that
// they import.
var linked = map[string][]string{
	"cmd/counter":    {"github.com/miekg/pkcs11", module + "/keys", module + "/registry", module + "/issuance", module + "/exchange", module + "/card/chip", "gorm.io/gorm"},
	"cmd/onecard":    {"github.com/miekg/pkcs11", "github.com/ebfe/scard", module + "/card/chip", module + "/apdu/pcsc"},
	"cmd/keeper":     {module + "/registry", module + "/issuance", module + "/exchange", module + "/api", module + "/card", "gorm.io/gorm", "github.com/labstack/echo/v4", "github.com/ebfe/scard"},
	"cmd/partnersim": {module + "/registry", module + "/issuance", module + "/keys", module + "/api"},
	"cmd/cardsim":    {module + "/card", module + "/keys", module + "/registry", "github.com/ebfe/scard"},
}

type goPackage struct {
	ImportPath, Dir, Doc string
	Imports, Deps        []string
	GoFiles              []string
}

func list(t *testing.T) map[string]goPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Doc,Imports,Deps,GoFiles", module+"/...").Output()
	require.NoError(t, err)
	packages := map[string]goPackage{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); err == io.EOF {
			return packages
		} else {
			require.NoError(t, err)
		}
		if len(p.GoFiles) > 0 {
			packages[strings.TrimPrefix(p.ImportPath, module+"/")] = p
		}
	}
}

func TestImports(t *testing.T) {
	t.Parallel()
	for name, p := range list(t) {
		rule, known := allowed[name]
		if !known {
			t.Errorf("package %s has no line in the table: say what it may import and why", name)
			continue
		}
		for _, path := range p.Imports {
			if ours, ok := strings.CutPrefix(path, module+"/"); ok && !slices.Contains(rule.imports, ours) {
				t.Errorf("%s imports %s: %s", name, ours, rule.why)
			}
			for part, users := range reserved {
				if (path == part || strings.HasPrefix(path, part+"/")) && !slices.Contains(users, name) {
					t.Errorf("%s imports %s, which is kept to %v", name, path, users)
				}
			}
		}
	}
}

func TestLinked(t *testing.T) {
	t.Parallel()
	packages := list(t)
	for program, unwanted := range linked {
		p, ok := packages[program]
		require.True(t, ok, program)
		for _, path := range unwanted {
			require.NotContains(t, p.Deps, path, "%s must not link %s", program, path)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for name, p := range list(t) {
		if len(strings.Fields(p.Doc)) < 5 {
			t.Errorf("package %s has no package comment", name)
		}
	}
}

// The limits of size (lines of a function, lines of a file, methods of an
// interface). Generated files are left out.
const (
	maxFunction  = 70
	maxFile      = 400
	maxInterface = 5
)

func TestSizes(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, source, parser.ParseComments)
		if err != nil {
			return err
		}
		if !ast.IsGenerated(file) {
			checkSizes(t, set, file, strings.TrimPrefix(path, root+"/"))
		}
		return nil
	})
	require.NoError(t, err)
}

func checkSizes(t *testing.T, set *token.FileSet, file *ast.File, path string) {
	t.Helper()
	if lines := set.Position(file.End()).Line; lines > maxFile {
		t.Errorf("%s has %d lines, more than %d", path, lines, maxFile)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.FuncDecl:
			if lines := set.Position(n.End()).Line - set.Position(n.Pos()).Line + 1; lines > maxFunction {
				t.Errorf("%s: %s has %d lines, more than %d", path, n.Name.Name, lines, maxFunction)
			}
		case *ast.InterfaceType:
			if n.Methods.NumFields() > maxInterface {
				t.Errorf("%s:%d: interface of %d methods, more than %d", path, set.Position(n.Pos()).Line, n.Methods.NumFields(), maxInterface)
			}
		}
		return true
	})
}

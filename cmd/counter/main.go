// Command counter runs wherever a reader stands: a county counter's
// workstation, a hospital's or a pharmacy's terminal. It reaches the province
// over one connection that it opens itself, and listens to nothing but its own
// loopback page.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"onecard/api/client"
	"onecard/terminal"
	"onecard/terminal/driver"
)

type commands struct {
	Serve serveCommand `cmd:"" default:"withargs" help:"Serve the counter's page. 启动柜台页面。"`
	Trace traceCommand `cmd:"" help:"Decode a transcript of what passed between reader and chip. 解析报文记录。"`
	Diff  diffCommand  `cmd:"" help:"Compare the card in the reader with the province's records; 3 on exit: they differ. 芯片与省库比对，不一致时退出码为 3。"`
	HSM   hsmCommands  `cmd:"" name:"hsm" help:"Work the card in the reader in the steps of the national driver. 按国家驱动的步骤读写卡（省级安全认证）。"`
	PSAM  psamCommands `cmd:"" name:"psam" help:"Work the card in the reader with a security module in another slot, without the province. 用 PSAM 卡脱机读写卡。"`
	Chip  chipCommand  `cmd:"" help:"Work on the card in the reader: elements, PIN, keys. 芯片业务。"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	c.Chip.Refresh.operation, c.Chip.Rekey.operation, c.Chip.UnblockPIN.operation = client.Refresh, client.Rekey, client.UnblockPIN
	c.Chip.Debit.operation, c.Chip.Credit.operation = client.Debit, client.Credit
	parser := kong.Parse(&c, kong.Name("counter"), kong.Description("一卡通柜台程序 OneCard counter"), kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(os.Stdin, (*io.Reader)(nil)), kong.BindTo(os.Stdout, (*io.Writer)(nil)))
	if err := parser.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "counter:", explain(err))
		var coded kong.ExitCoder
		if errors.As(err, &coded) {
			os.Exit(coded.ExitCode())
		}
		os.Exit(1)
	}
}

// explain puts an error into words for people, with the driver's number where
// it has one; what nobody foresaw stays as it is.
func explain(err error) string {
	said := terminal.Explain(err)
	if said.Code == terminal.Unexpected {
		return err.Error()
	}
	text := said.ZH + " " + said.EN
	var numbered *driver.Error
	if errors.As(err, &numbered) {
		text = fmt.Sprintf("%d %s", numbered.Code, text)
	}
	return strings.TrimSpace(text + " " + said.RemedyZH + " " + said.RemedyEN)
}

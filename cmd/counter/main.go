// Command counter runs wherever a reader stands: a county counter's
// workstation, a hospital's or a pharmacy's terminal. It reaches the province
// over one connection that it opens itself, and listens to nothing but its own
// loopback page.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"onecard/terminal"
	"onecard/terminal/driver"
)

type commands struct {
	Serve serveCommand `cmd:"" default:"withargs" help:"Serve the counter's page. 启动柜台页面。"`
	HSM   hsmCommands  `cmd:"" name:"hsm" help:"Work the card in the reader in the steps of the national driver. 按国家驱动的步骤读写卡（省级安全认证）。"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	parser := kong.Parse(&c, kong.Name("counter"), kong.Description("一卡通柜台程序 OneCard counter"), kong.BindTo(ctx, (*context.Context)(nil)))
	if err := parser.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "counter:", explain(err))
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

// Command counter runs wherever a reader stands: a county counter's
// workstation, a hospital's or a pharmacy's terminal. It reaches the province
// over one connection that it opens itself, and listens to nothing but its own
// loopback page.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Serve serveCommand `cmd:"" default:"withargs" help:"Serve the counter's page. 启动柜台页面。"`
	Trace traceCommand `cmd:"" help:"Decode a transcript of what passed between reader and chip. 解析报文记录。"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	parser := kong.Parse(&c, kong.Name("counter"), kong.Description("一卡通柜台程序 OneCard counter"), kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(os.Stdout, (*io.Writer)(nil)))
	if err := parser.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "counter:", err)
		os.Exit(1)
	}
}

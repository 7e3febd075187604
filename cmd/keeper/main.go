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
	Serve serveCommand `cmd:"" help:"Keep the keys and compute for the platform. 启动密钥保管进程。"`
	List  listCommand  `cmd:"" help:"The keys and their check values. 列出密钥及校验值。"`
	Token struct {
		Init   tokenInitCommand   `cmd:"" help:"Make the province's keys in the token. 在令牌中生成密钥。"`
		Import tokenImportCommand `cmd:"" help:"Put a key into the token. 向令牌导入密钥。"`
		Rotate tokenRotateCommand `cmd:"" help:"Make the next version of a key. 密钥轮换。"`
	} `cmd:"" help:"The keys of a PKCS#11 token. 令牌中的密钥。"`
}

// streams are where commands read and write.
type streams struct {
	In       *os.File
	Out, Err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed := kong.Parse(&commands{}, kong.Name("keeper"), kong.Description("密钥保管进程 the keeper of the province's keys"),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(streams{os.Stdin, os.Stdout, os.Stderr}))
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "keeper:", explain(err))
		stop()
		os.Exit(1)
	}
}

package main

import (
	"errors"
	"strings"
	"syscall"

	"onecard/api/pki"
	"onecard/card/profile"
	"onecard/keys"
	"onecard/keys/remote"
	"onecard/registry"
)

// advice is what a person can do about an error at the start.
var advice = []struct {
	is   error
	zh   string
	en   string
	todo string
}{
	{syscall.EADDRINUSE, "地址已被占用", "the address is taken by another program",
		"请停止占用它的程序，或用 --listen 换一个地址 stop that program, or choose another address with --listen"},
	{registry.ErrDatabaseFull, "数据库空间已满", "the database has no space left",
		"已导入的都在，未完成的一批没有写入；腾出空间后再次运行同一命令 what was taken over stays, the batch at hand was not written: make room and run the same command again"},
	{syscall.ENOSPC, "磁盘已满", "the disk is full",
		"已导入的都在，未完成的一批没有写入；腾出空间后再次运行同一命令 what was taken over stays, the batch at hand was not written: make room and run the same command again"},
	{registry.ErrImporting, "同一文件正在导入", "the same file is being imported",
		"请等它完成；如果那台机器已停，两分钟后再试 wait for it; if that machine has stopped, try again in two minutes"},
	{syscall.EACCES, "没有权限", "permission denied",
		"请检查目录的属主和权限 check who owns the directory"},
	{registry.ErrDatabaseGone, "数据库连接不上", "the database cannot be reached",
		"请确认数据库已启动，地址、用户和密码正确 make sure that it runs and that address, user and password are right"},
	{remote.ErrUnreachable, "密钥保管进程连接不上", "the keeper of keys cannot be reached",
		"请确认 keeper serve 正在运行，且 keeper.socket 与其配置一致 make sure that keeper serve runs and that keeper.socket is its socket"},
	{remote.ErrCaller, "密钥保管进程不为本用户服务", "the keeper of keys does not work for this user",
		"请在其配置的 callers 中加入运行平台的用户 add this program's user to its setting callers"},
	{remote.ErrOwner, "套接字不属于密钥保管进程的用户", "the keeper's socket belongs to another user",
		"请核对 keeper.user；如不是本单位所建，请停止使用并报告 check keeper.user; if nobody here made it, report it"},
	{registry.ErrWrongVault, "密钥与数据库不符", "the keys do not belong to this database",
		"请使用建库时的密钥目录 use the keys with which the database was made"},
	{keys.ErrPermissions, "密钥文件权限不对", "the key file can be read by others",
		"请执行 chmod 600，并确认属主是运行本程序的用户 run chmod 600 on it, and let it belong to the user of this program"},
	{pki.ErrPermissions, "证书私钥文件权限不对", "the certificate's key can be read by others",
		"请执行 chmod 600 run chmod 600 on it"},
	{keys.ErrWrongKEK, "密钥加密密钥不符", "the key-encryption key is not the one of the key file",
		"请检查 kek 或 shares 的设置 check the setting kek or shares"},
	{keys.ErrTampered, "密钥文件被改动", "the key file was altered",
		"请停止使用并报告，从备份恢复 do not go on: report it and restore the backup"},
	{errNoKeys, "还没有密钥", "there are no keys yet",
		"请先运行 onecard keys init run onecard keys init first"},
	{keys.ErrExists, "密钥已存在，未覆盖", "keys exist already and were left alone",
		"如需新建，请换一个数据目录 choose another data directory to make new ones"},
	{errUnknownSetting, "配置项写错", "a setting is misspelt",
		"请更正后再启动 correct it"},
}

// explain puts an error into words for the person who started the program:
// what it is, the cause, what to do.
func explain(err error) string {
	for _, a := range advice {
		if errors.Is(err, a.is) {
			return a.zh + " " + a.en + "\n  " + err.Error() + "\n  处理 what to do: " + a.todo
		}
	}
	var known interface {
		Explain() (text, remedy profile.Text)
	}
	if errors.As(err, &known) {
		text, remedy := known.Explain()
		return strings.TrimSpace(text.ZH + " " + text.EN + "\n  处理 what to do: " + remedy.ZH + " " + remedy.EN)
	}
	return err.Error()
}

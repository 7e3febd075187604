package pki

import "errors"

// What can go wrong with the certificates.
var (
	// ErrPermissions: others than the owner may read a key file.
	ErrPermissions = errors.New("私钥文件权限过宽，应为 0600 the key file must have mode 0600")
	// ErrFormat: a file is not the certificate or key that it should be.
	ErrFormat = errors.New("证书或私钥文件已损坏 a certificate or key file is damaged")
	// ErrID: the id cannot stand in a certificate.
	ErrID = errors.New("工作站编号应为 1 至 64 个字母、数字或 . _ - a workstation's id has 1 to 64 letters, digits or . _ -")
	// ErrNotWorkstation: the certificate was not made for a workstation.
	ErrNotWorkstation = errors.New("不是工作站证书 not a workstation's certificate")
	// ErrNoKey: the authority's key is kept elsewhere, so nothing can be signed here.
	ErrNoKey = errors.New("本机没有根证书私钥 the authority's key is not kept here")
	// ErrExists: a file of that name is there already.
	ErrExists = errors.New("文件已存在，未覆盖 the file exists and was left alone")
)

// Package pki is the platform's own small certificate authority (平台证书): it
// makes and keeps the certificates by which the platform and its workstations
// know one another.
//
// It owns four files in one directory: ca.pem and server.pem, ca.key and
// server.key (mode 0600), made at first start. It does not own who may work
// with a certificate: the registry stores the fingerprint of the one
// certificate that a workstation has, and package api compares.
//
// # Flow
//
//	Open(dir, names)      → *Authority, made when the directory is new
//	(*Authority).TLS()    → the platform's side of a connection, TLS 1.3
//	(*Authority).Enrol(w) → certificate and key of workstation w, once; the
//	                        key is not kept here
//	Workstation(cert)     → the id that a certificate was made for
//	(*Authority).Client() → what the platform shows where it connects itself
//
// The authority signs nothing but these two kinds of leaf. In the directory of
// a machine that serves, its key is as safe as the machine; a province that
// wants it elsewhere enrols on another machine with a copy of the directory and
// leaves ca.key out of the server's.
//
// # Standards
//
// RFC 5280 (X.509), RFC 8446 (TLS 1.3), ECDSA on P-256 (FIPS 186-5).
package pki

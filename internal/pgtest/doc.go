// Package pgtest gives tests a throw-away PostgreSQL.
//
// One cluster per test process serves every test that asks for a database
// ([DSN]); a test that stops and starts the server takes a cluster of its own
// ([New]). A cluster listens on a Unix socket only, in a new directory, and
// never touches a server of the machine. initdb and postgres refuse to run as
// root: under root they run as the user postgres or nobody.
//
// Nothing stays behind: each server has a guardian process that waits for the
// end of a pipe held by the test process. Whatever way the test process ends,
// the guardian stops the server and removes the directory.
//
// There is no skipping. Without the server's programs a test fails and names
// the package to install.
package pgtest

// Package rig runs a PC/SC service of its own with virtual readers and cards
// (虚拟读卡器), for trials and tests: the real pcscd with the real driver of a
// virtual reader, in namespaces of its own, so that neither the service that
// the machine already runs nor any network is touched. The cards are the
// program cardsim inside the same namespace; it is reached by a Unix socket.
//
// Clients stay outside and find the service by PCSCLITE_CSOCK_NAME (Env).
// Stop ends what Start began and nothing else; so does the end of the program.
package rig

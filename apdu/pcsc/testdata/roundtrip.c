/* The raw limit: GET CHALLENGE over libpcsclite alone, n times.
 * Prints nanoseconds for one exchange.  usage: roundtrip READER N */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <winscard.h>

static void check(const char *what, LONG rv) {
	if (rv != SCARD_S_SUCCESS) {
		fprintf(stderr, "%s: %s\n", what, pcsc_stringify_error(rv));
		exit(1);
	}
}

int main(int argc, char **argv) {
	static const BYTE command[] = {0x00, 0x84, 0x00, 0x00, 0x08};
	struct timespec begin, end;
	SCARDCONTEXT context;
	SCARDHANDLE card;
	DWORD protocol;
	long n, i;

	if (argc != 3) return 2;
	n = atol(argv[2]);
	check("establish", SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &context));
	check("connect", SCardConnect(context, argv[1], SCARD_SHARE_SHARED, SCARD_PROTOCOL_ANY, &card, &protocol));
	check("begin", SCardBeginTransaction(card));
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (i = 0; i < n; i++) {
		BYTE answer[258];
		DWORD length = sizeof answer;
		check("transmit", SCardTransmit(card, SCARD_PCI_T0, command, sizeof command, NULL, answer, &length));
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%ld\n", ((end.tv_sec - begin.tv_sec) * 1000000000L + end.tv_nsec - begin.tv_nsec) / n);
	check("end", SCardEndTransaction(card, SCARD_LEAVE_CARD));
	check("disconnect", SCardDisconnect(card, SCARD_LEAVE_CARD));
	return SCardReleaseContext(context) != SCARD_S_SUCCESS;
}

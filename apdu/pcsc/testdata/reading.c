/* A reading over libpcsclite alone, the least that it can cost.
 * usage: reading READER SCRIPT, where SCRIPT is a file of lines "command
 * answer" in hexadecimal.  For each line "N" on its input it connects, sends
 * the whole script N times, and prints the nanoseconds that the commands took;
 * for each line "s N" the nanoseconds of N status calls, which reach the
 * service and not the card. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <winscard.h>

#define MAX_STEPS 256

static struct step {
	BYTE command[262], answer[258];
	DWORD command_length, answer_length;
} steps[MAX_STEPS];
static int count;
static SCARDHANDLE card;

static void check(const char *what, LONG rv) {
	if (rv != SCARD_S_SUCCESS) {
		fprintf(stderr, "%s: %s\n", what, pcsc_stringify_error(rv));
		exit(1);
	}
}

static DWORD unhex(const char *text, BYTE *out, DWORD limit) {
	DWORD n = 0;
	unsigned value;
	for (; n < limit && sscanf(text, "%2x", &value) == 1; text += 2) out[n++] = (BYTE)value;
	return n;
}

static void load(const char *path) {
	char command[600], answer[600];
	FILE *file = fopen(path, "r");
	if (file == NULL) {
		perror(path);
		exit(1);
	}
	while (count < MAX_STEPS && fscanf(file, "%599s %599s", command, answer) == 2) {
		struct step *s = &steps[count++];
		s->command_length = unhex(command, s->command, sizeof s->command);
		s->answer_length = unhex(answer, s->answer, sizeof s->answer);
	}
	fclose(file);
}

static void read_all(long n) {
	for (; n > 0; n--) {
		for (int i = 0; i < count; i++) {
			BYTE answer[258];
			DWORD length = sizeof answer;
			check("transmit", SCardTransmit(card, SCARD_PCI_T0, steps[i].command, steps[i].command_length, NULL, answer, &length));
			if (length != steps[i].answer_length || memcmp(answer, steps[i].answer, length) != 0) {
				fprintf(stderr, "step %d: another answer\n", i + 1);
				exit(1);
			}
		}
	}
}

static void ask_status(long n) {
	for (; n > 0; n--) {
		char reader[MAX_READERNAME];
		BYTE atr[MAX_ATR_SIZE];
		DWORD reader_length = sizeof reader, atr_length = sizeof atr, state, protocol;
		check("status", SCardStatus(card, reader, &reader_length, &state, &protocol, atr, &atr_length));
	}
}

int main(int argc, char **argv) {
	SCARDCONTEXT context;
	char line[64];

	if (argc != 3) return 2;
	load(argv[2]);
	while (fgets(line, sizeof line, stdin) != NULL) {
		struct timespec begin, end;
		DWORD protocol;
		check("establish", SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &context));
		check("connect", SCardConnect(context, argv[1], SCARD_SHARE_SHARED, SCARD_PROTOCOL_ANY, &card, &protocol));
		check("begin", SCardBeginTransaction(card));
		clock_gettime(CLOCK_MONOTONIC, &begin);
		if (line[0] == 's') {
			ask_status(atol(line + 1));
		} else {
			read_all(atol(line));
		}
		clock_gettime(CLOCK_MONOTONIC, &end);
		check("end", SCardEndTransaction(card, SCARD_RESET_CARD));
		check("disconnect", SCardDisconnect(card, SCARD_RESET_CARD));
		check("release", SCardReleaseContext(context));
		printf("%ld\n", (end.tv_sec - begin.tv_sec) * 1000000000L + end.tv_nsec - begin.tv_nsec);
		fflush(stdout);
	}
	return 0;
}

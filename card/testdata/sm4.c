/* The least that the cryptography of a card can cost: SM4 of OpenSSL, one block
 * at a time.  For each line "BLOCKS KEYS" on its input it enciphers that many
 * blocks and expands that many keys, and prints the nanoseconds. */
#include <openssl/evp.h>
#include <stdio.h>
#include <time.h>

int main(void) {
	unsigned char key[16] = {1}, block[16] = {2};
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "SM4-ECB", NULL);
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	long blocks, keys;

	if (cipher == NULL || context == NULL || EVP_EncryptInit_ex2(context, cipher, key, NULL, NULL) != 1) return 1;
	EVP_CIPHER_CTX_set_padding(context, 0);
	while (scanf("%ld %ld", &blocks, &keys) == 2) {
		struct timespec begin, end;
		int length;
		clock_gettime(CLOCK_MONOTONIC, &begin);
		for (; keys > 0; keys--) {
			if (EVP_EncryptInit_ex2(context, NULL, block, NULL, NULL) != 1) return 1;
		}
		for (; blocks > 0; blocks--) {
			if (EVP_EncryptUpdate(context, block, &length, block, sizeof block) != 1) return 1;
		}
		clock_gettime(CLOCK_MONOTONIC, &end);
		printf("%ld\n", (end.tv_sec - begin.tv_sec) * 1000000000L + end.tv_nsec - begin.tv_nsec);
		fflush(stdout);
	}
	return 0;
}

// Command keeper keeps the province's keys in a process of its own (密钥保管
// 进程), with its own user: it opens the sealed key file or a token and computes
// for the platform over a Unix socket (package keys/remote). It alone links the
// library of a token; it links no database, no network and no page.
//
//	keeper serve    --config keeper.yaml     the process
//	keeper list     --config keeper.yaml     the keys and their check values
//	keeper token …  --config keeper.yaml     make, import and rotate the keys of a token
//
// # Opening
//
// backend file needs the key-encryption key: two files of shares (two
// custodians bring them), or nothing, and then two custodians enter their
// shares one after another at the start, unseen; for a trial a file of the key
// itself. backend pkcs11 needs the PIN in a file of this user with mode 0600.
//
// # Before the first key
//
// The process takes itself out of reach: no core dump (RLIMIT_CORE), no debugger
// and no /proc/self/mem of its user (PR_SET_DUMPABLE), no swap where the system
// lets it (mlockall needs RLIMIT_MEMLOCK unlimited), no file for others (umask).
//
// # GM/T 0018 devices (SDF, 密码设备应用接口)
//
// backend sdf is the place of a certified cipher machine (服务器密码机) or card,
// which production needs for SM4. It is refused: there is no device here, no
// maker's library and no public software device to build against. A package
// keys/sdf would implement keys.Backend over the maker's library, the way
// keys/pkcs11 does, and pass keys/keystest. How the functions of GM/T 0018-2012
// would serve:
//
//	open, log in        SDF_OpenDevice, SDF_OpenSession, SDF_GetDeviceInfo; one session for each computation at once
//	keys                SDF_GenerateKeyWithKEK: a session key, and its form under the device's KEK, which is what our
//	                    key file then holds; SDF_ImportKeyWithKEK at the start gives the handle; SDF_DestroyKey
//	Cryptogram          PK = SDF_Encrypt(K, SGD_SM4_ECB, r1 ‖ 0⁸), then SM4 under PK
//	CommandMAC          SDF_CalculateMAC(PK, SGD_SM4_MAC, iv 0, padded message), XOR of the four words
//	PINBlock            SDF_Encrypt(PK, SGD_SM4_ECB) and SDF_CalculateMAC
//	DirectMAC           SDF_CalculateMAC(K, SGD_SM4_MAC, iv)
//	WrapKey             SDF_Encrypt(transport key, SGD_SM4_ECB, len ‖ attributes ‖ key ‖ 80…), SDF_CalculateMAC
//	Seal, Open          no AEAD in the 2012 edition: SGD_SM4_CBC and SDF_CalculateMAC under a second key
//	Index               SDF_HashInit, Update, Final (SGD_SM3) have no key: no HMAC in the 2012 edition
//	check value         SDF_Encrypt of a block of zeroes
//	random              SDF_GenerateRandom
//
// What is missing in the standard is what the chip needs most: it has no
// derivation of a key inside the device. SDF_Encrypt gives SM4(K, f ‖ ¬f), the
// card's key, and PK into this process's memory, from where SDF_ImportKey would
// bring them back. Devices for finance and for social security (金融数据密码机)
// diversify, load and MAC inside, by commands of their makers; with such a
// device those commands belong into keys/sdf, and its documents decide.
package main

// The allocator that OpenSSL gets: malloc, but for the two buffers of a record (16 KiB and some), which a connection takes and gives back with each read and each
// write so that an idle one holds none. Those are kept for the next, per thread. (What is left are four pieces of 40 bytes for each record written.)
#ifndef NET_TLS_MEMORY_H
#define NET_TLS_MEMORY_H

#include <stddef.h>

// A worker has one connection in hand at a time; a few more for those that wait in the middle of a record.
#define TLS_MEMORY_KEPT 8

// Once, before anything of OpenSSL is used. Without it everything works, with malloc alone.
void tls_memory_install(void);

// Bytes that are kept for the calling thread.
size_t tls_memory_kept(void);

#endif

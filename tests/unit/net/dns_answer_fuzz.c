// Any bytes as an answer of a name server, read as each type: what comes out is bounded, of the type that was asked for, and names are names.
#include "net/dns_answer.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void try_type(const uint8_t *input, size_t size, enum dns_type type) {
    struct pool_source source;
    struct pool pool;
    struct dns_answer answer;
    pool_source_init(&source, 0);
    pool_init(&pool, &source);
    if (dns_answer_read(input, size, type, &pool, &answer) == OK) {
        CHECK(answer.count <= DNS_RECORDS_MAX);
        CHECK(answer.count == 0 || answer.ttl_s <= INT32_MAX);
        CHECK(answer.count * 11 <= size); // of a record at least so much is its own
        for (uint32_t i = 0; i < answer.count; i++) {
            const struct dns_record *record = &answer.records[i];
            CHECK(record->type == type);
            CHECK(record->target.len == 0 || (dns_name_is_plain(record->target) && record->port != 0));
        }
    }
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    try_type(input, size, DNS_TYPE_A);
    try_type(input, size, DNS_TYPE_AAAA);
    try_type(input, size, DNS_TYPE_SRV);
    return 0;
}

// The credentials of a client and of a server of one mesh, for tests of connections between the two.
#ifndef TESTS_NET_TLS_TWO_ENDS_H
#define TESTS_NET_TLS_TWO_ENDS_H

#include "tls_drive.h"

static struct test_identity root;
static struct ticket_keys *keys;
static struct credentials *client_credentials, *server_credentials;

static inline int set_up(void **state) {
    (void)state;
    root = test_root("spiffe://school.local");
    keys = ticket_keys_create();
    client_credentials = tls_issue_credentials(CLIENT_ID, &root, keys);
    server_credentials = tls_issue_credentials(SERVER_ID, &root, keys);
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    credentials_unref(client_credentials);
    credentials_unref(server_credentials);
    ticket_keys_destroy(keys);
    test_identity_free(&root);
    return 0;
}

#endif

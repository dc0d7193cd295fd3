// A TLS connection as a transport, in both roles: the handshake, records in, records out, the two orderly ends and all the others.
//
//   handshake -> open -> closing          `ready(OK)`, bytes ..., `ended`, close
//   handshake -> failed -> closing        `ready(error)`, close
//
// Bytes come in by the lower transport's `bytes`. What is not wanted yet, because the user has stopped reading, waits in `held` as cipher text: it is decrypted when
// it is wanted, into a block that is handed out by reference. Bytes go out through `seal`, one record of up to 16 KiB at a time, no more than
// the lower transport has room for.
#include "net/tls_private.h"

#include "base/check.h"
#include "base/limits.h"

#include <assert.h>
#include <stdlib.h>

// A record holds what a block does, so that the other end needs one block for it.
#define RECORD_MAX BLOCK_CAPACITY

// A front piece of this length is sealed where it lies; shorter ones are gathered into one record, since each record costs about as much as copying this.
#define RECORD_DIRECT_MIN 4096

// No more records are made while the lower transport has this much to send.
#define SEALED_MAX (LIMIT_OUTPUT_BYTES / 2)

// More than that comes of what TLS itself answers (new keys), and only where the peer asks and asks and reads nothing of it.
#define UNREAD_ANSWERS_MAX LIMIT_OUTPUT_BYTES

static_assert(SEALED_MAX + RECORD_MAX + SSL3_RT_MAX_TLS13_ENCRYPTED_OVERHEAD < UNREAD_ANSWERS_MAX, "what the user sends is never taken for answers");
static_assert(RECORD_MAX <= SSL3_RT_MAX_PLAIN_LENGTH, "one SSL_write, one record");

static const char closed_early[] = "the peer closed during the handshake";

static void set_state(struct tls *tls, enum tls_state state) {
    CHECK(state > tls->state);
    tls->state = state;
}

// --- failures ---

static struct tls_role_counters *role_counters(const struct tls *tls) {
    if (tls->counters == NULL)
        return NULL;
    return tls->is_server ? &tls->counters->server : &tls->counters->client;
}

static void count_failure(const struct tls *tls) {
    struct tls_role_counters *counters = role_counters(tls);
    if (counters != NULL)
        metric_add(&counters->failed[tls->failure], 1);
}

static void flush_lower_later(struct tls *tls) {
    if (!buffer_is_empty(&tls->lower->out))
        loop_flush(tls->transport.loop, &tls->flush);
}

// The handshake is lost; the reason is known. An alert, if there is one, goes out even when the user closes at once.
static void fail_handshake(struct tls *tls) {
    CHECK(tls->failure_known);
    set_state(tls, TLS_FAILED);
    loop_timer_stop(tls->transport.loop, &tls->timer);
    buffer_clear(&tls->held);
    tls->output = TLS_OUTPUT_ENDED;
    tls->lower->ops->read_stop(tls->lower);
    flush_lower_later(tls);
    count_failure(tls);
    const bool is_other = tls->failure == TLS_FAILURE_IDENTITY || tls->failure == TLS_FAILURE_NAME;
    tls->transport.handler->ready(tls->transport.user, is_other ? ERROR_IDENTITY_MISMATCH : ERROR_TLS_FAILED);
}

static void tell_ended(struct tls *tls, enum error error) {
    bool orderly = error == ERROR_CONNECTION_CLOSED;
    if (tls->told_broken || (orderly && tls->input_ended))
        return;
    tls->input_ended = true;
    tls->told_broken = !orderly;
    tls->transport.handler->ended(tls->transport.user, error);
}

// An open connection is lost: nothing more goes in or out.
static void fail_open(struct tls *tls, enum error error) {
    set_state(tls, TLS_FAILED);
    tls->output = TLS_OUTPUT_ENDED;
    buffer_clear(&tls->held);
    buffer_clear(&tls->transport.out);
    tls->lower->ops->read_stop(tls->lower);
    flush_lower_later(tls);
    tell_ended(tls, error);
}

// --- output ---

static size_t gather(const struct buffer *out, char *at) {
    struct iovec pieces[BUFFER_SEGMENTS_INLINE * 4];
    size_t length, used = 0;
    int count = buffer_iovec(out, pieces, (int)(sizeof(pieces) / sizeof(pieces[0])), &length);
    for (int i = 0; i < count && used < RECORD_MAX; i++) {
        size_t piece = pieces[i].iov_len < RECORD_MAX - used ? pieces[i].iov_len : RECORD_MAX - used;
        memcpy(at + used, pieces[i].iov_base, piece);
        used += piece;
    }
    return used;
}

// One record from the front of `out`. False when TLS is broken.
static bool seal(struct tls *tls) {
    struct buffer *out = &tls->transport.out;
    struct bytes record = buffer_front(out);
    struct block *scratch = NULL;
    if (record.len < RECORD_DIRECT_MIN && record.len < out->length) {
        scratch = block_get(&tls->transport.loop->blocks);
        record = bytes_from(scratch->bytes, gather(out, scratch->bytes));
    } else if (record.len > RECORD_MAX) {
        record.len = RECORD_MAX;
    }
    tls_clear_errors();
    int written = SSL_write(tls->ssl, record.at, (int)record.len);
    if (scratch != NULL)
        block_unref(scratch);
    if (written <= 0)
        return false;
    tls->transport.bytes_out += (size_t)written;
    buffer_consume(out, (size_t)written);
    return true;
}

// Everything was sent that was to be sent before the end: close_notify, and the lower transport's own end behind it.
static void end_output(struct tls *tls) {
    tls->output = TLS_OUTPUT_ENDED;
    tls_clear_errors();
    (void)SSL_shutdown(tls->ssl);
    tls->lower->ops->flush(tls->lower);
    tls->lower->ops->shutdown(tls->lower);
    tls->lower_shut = true;
}

// Seals and sends until `out` is empty or the lower transport has enough.
static void send_output(struct tls *tls) {
    struct buffer *out = &tls->transport.out;
    struct transport *lower = tls->lower;
    while (tls->state == TLS_OPEN && tls->output != TLS_OUTPUT_ENDED) {
        while (!buffer_is_empty(out) && lower->out.length < SEALED_MAX) {
            if (!seal(tls)) {
                buffer_clear(out);
                tls->output = TLS_OUTPUT_ENDED;
                tls->sealing_failed = true;
                loop_wake(tls->transport.loop, &tls->resume);
                return;
            }
        }
        if (buffer_is_empty(out) && tls->output == TLS_OUTPUT_ENDING) {
            end_output(tls);
            break;
        }
        lower->ops->flush(lower);
        if (buffer_is_empty(out) || !buffer_is_empty(&lower->out))
            break;
    }
    tls->left_output = !buffer_is_empty(out);
}

static void tls_flush(struct transport *transport) {
    struct tls *tls = tls_of(transport);
    if (tls->state == TLS_HANDSHAKE)
        tls->wants_flush = true;
    if (tls->state != TLS_OPEN)
        return;
    task_cancel(&tls->flush); // what TLS has to say goes with it
    send_output(tls);
}

static void on_flush_task(struct task *task) {
    struct tls *tls = CONTAINER_OF(task, struct tls, flush);
    if (tls->state != TLS_CLOSING)
        tls->lower->ops->flush(tls->lower);
}

static void tls_shutdown(struct transport *transport) {
    struct tls *tls = tls_of(transport);
    if (tls->output != TLS_OUTPUT_OPEN)
        return;
    tls->output = TLS_OUTPUT_ENDING;
    if (tls->state == TLS_OPEN)
        send_output(tls);
}

// --- input ---

static void pause_lower(struct tls *tls) {
    if (tls->lower_paused)
        return;
    tls->lower_paused = true;
    tls->lower->reset_after_bytes = tls->transport.reset_after_bytes;
    tls->lower->ops->read_stop(tls->lower);
}

static void resume_lower(struct tls *tls) {
    if (!tls->lower_paused)
        return;
    tls->lower_paused = false;
    tls->lower->ops->read_start(tls->lower);
}

// Bytes that came before an end and were not handed out yet.
static bool has_waiting(const struct tls *tls) {
    return !buffer_is_empty(&tls->held) || tls->input.len > 0 || SSL_has_pending(tls->ssl) == 1;
}

// The lower transport has ended and all before it was handed out.
static void tell_lower_end(struct tls *tls) {
    if (tls->lower_end == ERROR_CONNECTION_CLOSED && tls->input_ended)
        return; // close_notify came first, as it should
    if (tls->lower_end == ERROR_CONNECTION_CLOSED) {
        tls_set_failure(tls, TLS_FAILURE_CLOSED, "the connection ended without close_notify");
        if (tls->counters != NULL)
            metric_add(&tls->counters->truncated, 1);
    }
    fail_open(tls, ERROR_CONNECTION_RESET);
}

enum read_end {
    READ_MORE,   // the block is full
    READ_DRY,    // all that came was read
    READ_CLOSED, // close_notify
    READ_BROKEN  // the failure is noted
};

static enum read_end why_nothing_read(struct tls *tls, int result) {
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return READ_DRY;
    case SSL_ERROR_ZERO_RETURN:
        return READ_CLOSED;
    default:
        tls_set_failure_from_queue(tls);
        return READ_BROKEN;
    }
}

// Decrypts into one block and hands it out: whole messages stay in one piece where they can, however many records they came in.
static enum read_end read_block(struct tls *tls) {
    struct block *block = block_get(&tls->transport.loop->blocks);
    enum read_end end = READ_MORE;
    size_t filled = 0;
    while (filled < BLOCK_CAPACITY && end == READ_MORE) {
        if (filled > 0 && !has_waiting(tls)) {
            end = READ_DRY; // as OpenSSL would say, after setting up a buffer for nothing
            break;
        }
        tls_clear_errors();
        int result = SSL_read(tls->ssl, block->bytes + filled, (int)(BLOCK_CAPACITY - filled));
        if (result > 0)
            filled += (size_t)result;
        else
            end = why_nothing_read(tls, result);
    }
    if (filled > 0) {
        block->filled = (uint32_t)filled;
        tls->received_any = true;
        tls->transport.bytes_in += filled;
        tls->transport.handler->bytes(tls->transport.user, block, bytes_from(block->bytes, filled));
    }
    block_unref(block);
    return end;
}

static void on_read_end(struct tls *tls, enum read_end end) {
    // In TLS 1.3 a client has finished before the server looks at its certificate: a refusal comes as the first thing after it. Any other alert may also come of
    // what was sent meanwhile, as may one that follows bytes.
    bool refused = tls->certificate_refused && !tls->is_server && !tls->received_any;
    switch (end) {
    case READ_MORE:
        break;
    case READ_DRY:
        if (tls->lower_end != OK)
            tell_lower_end(tls);
        break;
    case READ_CLOSED:
        tell_ended(tls, ERROR_CONNECTION_CLOSED);
        break;
    case READ_BROKEN:
        if (refused)
            count_failure(tls);
        fail_open(tls, refused ? ERROR_TLS_FAILED : ERROR_CONNECTION_RESET);
        break;
    }
}

// RFC 8446 section 4.6.3 has an answer to each new key that asks for one; nothing but the peer's reading bounds them.
static bool is_flooded(const struct tls *tls) {
    return tls->lower->out.length > UNREAD_ANSWERS_MAX;
}

static void read_records(struct tls *tls) {
    enum read_end end = READ_MORE;
    while (end == READ_MORE && tls->state == TLS_OPEN && tls->reading && !tls->input_ended) {
        end = read_block(tls);
        if (tls->state == TLS_OPEN)
            on_read_end(tls, end);
    }
    if (tls->state == TLS_OPEN && is_flooded(tls)) {
        tls_set_failure(tls, TLS_FAILURE_PROTOCOL, "the peer asks for new keys and does not read them");
        fail_open(tls, ERROR_CONNECTION_RESET);
    }
    if (tls->state != TLS_OPEN)
        return;
    if (!tls->reading)
        pause_lower(tls);
    flush_lower_later(tls); // a record of TLS itself may have asked for an answer (a new key)
}

// --- handshake ---

static bool learn_resumed_peer(struct tls *tls) {
    if (!tls->is_server)
        return tls->peer != NULL; // known with the session
    X509 *leaf = SSL_get0_peer_certificate(tls->ssl);
    if (leaf == NULL)
        return (SSL_get_verify_mode(tls->ssl) & SSL_VERIFY_PEER) == 0;
    tls->peer = tls_peer_resumed(leaf, tls->ticket_peer, tls->ticket_not_before, tls->ticket_not_after);
    return tls->peer != NULL;
}

static void open_connection(struct tls *tls) {
    struct transport *transport = &tls->transport;
    const unsigned char *protocol;
    unsigned protocol_length;
    bool resumed = SSL_session_reused(tls->ssl) == 1;
    if (resumed && !learn_resumed_peer(tls)) {
        tls_set_failure(tls, TLS_FAILURE_NOT_SVID, "the resumed session has no identity");
        fail_handshake(tls);
        return;
    }
    SSL_get0_alpn_selected(tls->ssl, &protocol, &protocol_length);
    transport->alpn = bytes_from((const char *)protocol, protocol_length);
    transport->peer_id = tls->peer != NULL && tls->peer->id.text.len > 0 ? &tls->peer->id : NULL;
    tls->identities = NULL;
    tls->identity_count = 0;
    tls->names = NULL;
    tls->name_count = 0;
    loop_timer_stop(transport->loop, &tls->timer);
    struct tls_role_counters *counters = role_counters(tls);
    if (counters != NULL) {
        metric_add(&counters->handshakes, 1);
        if (resumed)
            metric_add(&counters->resumed, 1);
    }
    set_state(tls, TLS_OPEN);
    transport->handler->ready(transport->user, OK);
    if (tls->state == TLS_OPEN && (tls->wants_flush || tls->output == TLS_OUTPUT_ENDING))
        send_output(tls);
}

static void shake_hands(struct tls *tls) {
    tls_clear_errors();
    int result = SSL_do_handshake(tls->ssl);
    tls_ticket_done(tls);
    // Together with what else is written in this turn: a client's request goes out in the segment of its Finished.
    flush_lower_later(tls);
    if (result == 1) {
        open_connection(tls);
        return;
    }
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return;
    case SSL_ERROR_ZERO_RETURN:
        tls_set_failure(tls, TLS_FAILURE_CLOSED, closed_early);
        break;
    default:
        tls_set_failure_from_queue(tls);
    }
    fail_handshake(tls);
}

// Does what can be done with the bytes that are there. Never re-entered: whatever the user does inside of a callback is seen when it returns.
static void advance(struct tls *tls) {
    if (tls->advancing)
        return;
    tls->advancing = true;
    if (tls->state == TLS_HANDSHAKE)
        shake_hands(tls);
    if (tls->state == TLS_OPEN)
        read_records(tls);
    tls->advancing = false;
}

static void on_resume_task(struct task *task) {
    struct tls *tls = CONTAINER_OF(task, struct tls, resume);
    if (tls->sealing_failed && tls->state == TLS_OPEN) {
        tls_set_failure(tls, TLS_FAILURE_PROTOCOL, "TLS can send no more");
        fail_open(tls, ERROR_CONNECTION_RESET);
        return;
    }
    advance(tls);
}

static void on_timeout(struct timer *timer) {
    struct tls *tls = CONTAINER_OF(timer, struct tls, timer);
    CHECK(tls->state == TLS_HANDSHAKE && !tls->advancing);
    tls_set_failure(tls, TLS_FAILURE_TIMEOUT, "the handshake took too long");
    fail_handshake(tls);
}

static void tls_read_start(struct transport *transport) {
    struct tls *tls = tls_of(transport);
    tls->reading = true;
    if (tls->state != TLS_OPEN)
        return;
    resume_lower(tls);
    if (!tls->advancing && (tls->lower_end != OK || has_waiting(tls)))
        loop_wake(transport->loop, &tls->resume);
}

static void tls_read_stop(struct transport *transport) {
    struct tls *tls = tls_of(transport);
    tls->reading = false;
    if (tls->state == TLS_OPEN)
        pause_lower(tls);
}

// --- the lower transport ---

static void on_lower_ready(void *user, enum error error) {
    (void)user, (void)error;
    CHECK(!"a transport under TLS is connected already");
}

static void on_lower_bytes(void *user, struct block *block, struct bytes in) {
    struct tls *tls = user;
    CHECK(!tls->advancing && tls->input.len == 0);
    if (tls->state >= TLS_FAILED || tls->input_ended)
        return;
    tls->input = in;
    if (tls->state == TLS_HANDSHAKE || tls->reading)
        advance(tls);
    if (tls->state < TLS_FAILED && !tls->input_ended && tls->input.len > 0)
        buffer_append_piece(&tls->held, block, tls->input);
    tls->input = BYTES_NONE;
}

static void on_lower_ended(void *user, enum error error) {
    struct tls *tls = user;
    if (tls->state >= TLS_FAILED)
        return;
    tls->lower_end = error;
    bool at_once = error != ERROR_CONNECTION_CLOSED && !tls->transport.reset_after_bytes;
    if (tls->state == TLS_HANDSHAKE) {
        tls_set_failure(tls, TLS_FAILURE_CLOSED, closed_early);
        fail_handshake(tls);
    } else if (at_once || !has_waiting(tls)) {
        tell_lower_end(tls);
    } else if (tls->reading) {
        loop_wake(tls->transport.loop, &tls->resume);
    }
}

static void on_lower_drained(void *user) {
    struct tls *tls = user;
    bool owed = tls->left_output || tls->output != TLS_OUTPUT_OPEN;
    if (tls->state != TLS_OPEN)
        return;
    send_output(tls);
    if (owed && tls->state == TLS_OPEN && tls->transport.out.length < LIMIT_OUTPUT_BYTES / 2)
        tls->transport.handler->drained(tls->transport.user);
}

static void on_release(struct task *task) {
    struct tls *tls = CONTAINER_OF(task, struct tls, release);
    SSL_free(tls->ssl);
    tls_peer_leave(tls);
    credentials_unref(tls->credentials);
    buffer_dispose(&tls->held);
    buffer_dispose(&tls->transport.out);
    free(tls->session_key_text);
    free(tls->failure_text);
    free(tls);
}

static void on_lower_closed(void *user) {
    struct tls *tls = user;
    tls->transport.handler->closed(tls->transport.user);
    loop_defer(tls->transport.loop, &tls->release);
}

static const struct transport_handler lower_handler = {
    .ready = on_lower_ready,
    .bytes = on_lower_bytes,
    .ended = on_lower_ended,
    .drained = on_lower_drained,
    .closed = on_lower_closed,
};

static void tls_close(struct transport *transport, bool reset) {
    struct tls *tls = tls_of(transport);
    if (tls->state == TLS_CLOSING)
        return;
    // An end in order is said even now, if it can be sent at once: the peer then knows that it got everything.
    if (!reset && tls->state == TLS_OPEN && tls->output == TLS_OUTPUT_OPEN && buffer_is_empty(&transport->out)) {
        tls_clear_errors();
        (void)SSL_shutdown(tls->ssl);
    }
    if (!reset && !buffer_is_empty(&tls->lower->out))
        tls->lower->ops->flush(tls->lower);
    set_state(tls, TLS_CLOSING);
    loop_timer_stop(transport->loop, &tls->timer);
    task_cancel(&tls->resume);
    task_cancel(&tls->flush);
    buffer_clear(&tls->held);
    buffer_clear(&transport->out);
    tls->lower->ops->close(tls->lower, reset);
}

static const struct transport_ops tls_ops = {
    .read_start = tls_read_start,
    .read_stop = tls_read_stop,
    .flush = tls_flush,
    .shutdown = tls_shutdown,
    .close = tls_close,
};

// --- creation ---

static struct tls *tls_create(struct transport *lower, struct credentials *credentials, struct tls_counters *counters, bool is_server,
                              const struct transport_handler *handler, void *user) {
    struct tls *tls = alloc_zeroed_or_abort(1, sizeof(*tls));
    tls->transport = (struct transport){
        .ops = &tls_ops,
        .handler = handler,
        .user = user,
        .loop = lower->loop,
        .lower = lower,
        .peer = lower->peer,
        .local = lower->local,
        .secure = true,
    };
    buffer_init(&tls->transport.out, &lower->loop->blocks);
    buffer_init(&tls->held, &lower->loop->blocks);
    tls->lower = lower;
    tls->credentials = credentials_ref(credentials);
    tls->counters = counters;
    tls->is_server = is_server;
    timer_init(&tls->timer, on_timeout);
    task_init(&tls->resume, on_resume_task);
    task_init(&tls->flush, on_flush_task);
    task_init(&tls->release, on_release);
    tls->ssl = SSL_new(is_server ? credentials->server : credentials->client);
    CHECK(tls->ssl != NULL);
    SSL_set_app_data(tls->ssl, tls);
    BIO *bio = tls_bio_create(credentials, tls);
    SSL_set_bio(tls->ssl, bio, bio);
    lower->handler = &lower_handler;
    lower->user = tls;
    return tls;
}

static void begin(struct tls *tls, nanoseconds timeout) {
    struct loop *loop = tls->transport.loop;
    if (timeout > 0)
        loop_timer_start(loop, &tls->timer, timeout);
    tls->lower->ops->read_start(tls->lower);
    if (!tls->is_server || !buffer_is_empty(&tls->held))
        loop_wake(loop, &tls->resume);
}

struct transport *tls_server_create(struct transport *lower, const struct tls_server_options *options, struct buffer *early,
                                    const struct transport_handler *handler, void *user) {
    struct credentials *credentials = options->credentials;
    struct tls *tls = tls_create(lower, credentials, options->counters, true, handler, user);
    tls->protocols = options->protocols;
    SSL_set_accept_state(tls->ssl);
    SSL_set_verify(tls->ssl, options->require_client ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, NULL);
    CHECK(SSL_set_session_id_context(tls->ssl, credentials->session_context[options->require_client], TLS_SESSION_CONTEXT_SIZE) == 1);
    if (early != NULL)
        buffer_move(&tls->held, early, early->length);
    begin(tls, options->handshake_timeout);
    return &tls->transport;
}

struct transport *tls_client_create(struct transport *lower, const struct tls_client_options *options, const struct transport_handler *handler,
                                    void *user) {
    struct tls *tls = tls_create(lower, options->credentials, options->counters, false, handler, user);
    tls->identities = options->identities;
    tls->identity_count = options->identity_count;
    tls->names = options->names;
    tls->name_count = options->name_count;
    SSL_set_connect_state(tls->ssl);
    if (options->server_name.len > 0)
        CHECK(SSL_set_tlsext_host_name(tls->ssl, options->server_name.at) == 1);
    if (options->protocols.count > 0) {
        unsigned char wire[TLS_PROTOCOLS_WIRE_MAX];
        size_t length = tls_protocols_encode(options->protocols, wire);
        CHECK(SSL_set_alpn_protos(tls->ssl, wire, (unsigned)length) == 0);
    }
    if (options->session_key.len > 0) {
        tls->session_key_text = copy_text_or_abort(options->session_key);
        tls->session_key = bytes_from(tls->session_key_text, options->session_key.len);
        tls_session_offer(tls);
    }
    begin(tls, options->handshake_timeout);
    return &tls->transport;
}

enum tls_failure tls_failure_of(const struct transport *transport) {
    const struct tls *tls = tls_of_const(transport);
    return tls->failure_known ? tls->failure : TLS_FAILURE_CLOSED;
}

struct bytes tls_server_name(const struct transport *transport) {
    const char *name = SSL_get_servername(tls_of_const(transport)->ssl, TLSEXT_NAMETYPE_host_name);
    return name == NULL ? BYTES_NONE : bytes_from_text(name);
}

bool tls_was_resumed(const struct transport *transport) {
    const struct tls *tls = tls_of_const(transport);
    return tls->state == TLS_OPEN && SSL_session_reused(tls->ssl) == 1;
}

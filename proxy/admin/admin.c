// From a request to its page and back: who may ask, which page, which figures, as JSON or text. See admin.h.
#include "admin/admin.h"

#include "admin/access.h"
#include "admin/text_view.h"
#include "base/check.h"
#include "base/log.h"
#include "http/redact.h"
#include "net/loop.h"
#include "net/tcp.h"
#include "rpc/query.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>

struct site {
    struct admin *admin;
    enum admin_listener listener;
    struct rpc_server *server; // NULL: none
};

struct admin {
    struct loop *loop;
    struct site sites[2];
    const struct admin_page *pages;
    uint32_t page_count;
    const struct admin_source *source;
    void *owner;
    uint32_t queries; // given to the source and not done
    bool closing;
    struct task release;
};

static void admin_release(struct task *task) {
    struct admin *admin = CONTAINER_OF(task, struct admin, release);
    free(admin);
}

static void release_when_done(struct admin *admin) {
    if (admin->closing && admin->queries == 0)
        loop_defer(admin->loop, &admin->release);
}

// ---- replies

void admin_text_init(const struct admin_query *query, struct buffer *text) {
    buffer_init(text, &query->admin->loop->blocks);
}

// Once.
static void tell_change(struct admin_query *query, uint16_t status) {
    if (query->change == NULL)
        return;
    query->change->status = status;
    query->admin->source->changed(query->admin->owner, query->change);
    query->change = NULL;
}

void admin_reply_text(struct admin_query *query, uint16_t status, struct bytes content_type, struct buffer *text) {
    tell_change(query, status);
    if (query->request != NULL)
        rpc_reply(query->request, status, content_type, text);
    query->request = NULL;
    buffer_dispose(text);
}

static int append_dump(const char *text, size_t length, void *out) {
    buffer_append(out, bytes_from(text, length));
    return 0;
}

void admin_reply(struct admin_query *query, uint16_t status, struct json_t *value) {
    struct buffer text;
    admin_text_init(query, &text);
    bool plain = bytes_equal(admin_parameter(query, BYTES("format")), BYTES("text"));
    if (plain) {
        text_view_append(&text, value);
    } else {
        int failed = json_dump_callback(value, append_dump, &text, JSON_INDENT(2));
        CHECK(failed == 0);
        buffer_append(&text, BYTES("\n"));
    }
    json_decref(value);
    admin_reply_text(query, status, plain ? BYTES("text/plain; charset=utf-8") : BYTES("application/json"), &text);
}

void admin_reply_error(struct admin_query *query, uint16_t status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    json_t *text = json_vsprintf(format, arguments);
    va_end(arguments);
    json_t *value = json_object();
    json_object_set_new(value, "error", text != NULL ? text : json_string("the request is not valid UTF-8"));
    admin_reply(query, status, value);
}

void admin_reply_open(struct admin_query *query, struct bytes content_type) {
    CHECK(query->open_reply != NULL);
    tell_change(query, 200);
    rpc_reply_open(query->request, 200, content_type);
}

size_t admin_reply_room(const struct admin_query *query) {
    return rpc_reply_room(query->request);
}

void admin_reply_write(struct admin_query *query, struct bytes piece) {
    rpc_reply_write(query->request, piece);
}

void admin_reply_hurry(struct admin_query *query) {
    rpc_reply_hurry(query->request);
}

void admin_reply_end(struct admin_query *query) {
    rpc_reply_end(query->request);
}

struct bytes admin_parameter(struct admin_query *query, struct bytes name) {
    struct bytes value;
    if (query->request == NULL || !query_find(query->request->query, name, &query->pool, &value))
        return BYTES_NONE;
    return value;
}

// ---- queries

static struct admin_query *query_create(const struct site *site, struct rpc_request *request) {
    struct admin *admin = site->admin;
    struct admin_query *query = alloc_zeroed_or_abort(1, sizeof(*query));
    query->admin = admin;
    query->owner = admin->owner;
    query->listener = site->listener;
    query->request = request;
    request->user = query;
    pool_init(&query->pool, &admin->loop->pools);
    return query;
}

static void query_destroy(struct admin_query *query) {
    CHECK(query->request == NULL);
    pool_dispose(&query->pool);
    free(query);
}

// Behind the limits that the source told come those of our own listeners.
static void add_own_limits(struct admin_query *query) {
    static const struct bytes scopes[] = {BYTES("listener/admin"), BYTES("listener/metrics")};
    struct admin_figures *figures = &query->figures;
    struct admin_limit *limits = pool_alloc(&query->pool, (figures->limit_count + 2) * sizeof(*limits));
    if (figures->limit_count > 0)
        memcpy(limits, figures->limits, figures->limit_count * sizeof(*limits));
    for (unsigned i = 0; i < 2; i++) {
        if (query->admin->sites[i].server == NULL)
            continue;
        const struct rpc_counters *counters = rpc_server_counters(query->admin->sites[i].server);
        limits[figures->limit_count++] = (struct admin_limit){
            .name = BYTES("connections"),
            .scope = scopes[i],
            .unit = BYTES("connections"),
            .description = BYTES("connections to this listener; an idle one makes room"),
            .value = RPC_CONNECTIONS_MAX,
            .known = ADMIN_LIMIT_ALL,
            .use = counters->connections,
            .peak = counters->connections_peak,
            .hits = counters->refused,
        };
    }
    figures->limits = limits;
}

bool admin_query_slice(struct admin_query *query) {
    bool (*const slice)(struct admin_query *) = query->page != NULL ? query->page->slice : query->slice;
    return slice != NULL && admin_query_is_wanted(query) && slice(query);
}

void admin_query_done(struct admin_query *query) {
    if (query->done != NULL) {
        query->done(query);
        return;
    }
    struct admin *admin = query->admin;
    CHECK(admin->queries > 0);
    if (query->request != NULL && (query->wants & ADMIN_WANT_LIMITS) != 0)
        add_own_limits(query);
    if (query->request != NULL || (query->change != NULL && query->page->command != ADMIN_NONE))
        query->page->handle(query); // also for nobody: what came of a command is told
    tell_change(query, 0);
    query_destroy(query);
    admin->queries--;
    release_when_done(admin);
}

static void answer_now(struct admin_query *query) {
    query->page->handle(query);
    query_destroy(query);
}

static void refuse(struct admin_query *query, uint16_t status, const char *reason) {
    admin_reply_error(query, status, "%s", reason);
    query_destroy(query);
}

// The methods that a path has, for Allow; how many.
static unsigned methods_of(const struct site *site, struct bytes path, struct bytes *allow) {
    const struct admin *admin = site->admin;
    bool get = false, post = false;
    for (uint32_t i = 0; i < admin->page_count; i++)
        if ((admin->pages[i].listeners & site->listener) != 0 && bytes_equal(bytes_from_text(admin->pages[i].path), path)) {
            get |= admin->pages[i].method == METHOD_GET;
            post |= admin->pages[i].method == METHOD_POST;
        }
    *allow = get && post ? BYTES("GET, HEAD, POST") : get ? BYTES("GET, HEAD") : BYTES("POST");
    return get + post;
}

static const struct admin_page *find_page(const struct site *site, const struct rpc_request *request) {
    enum http_method method = request->method == METHOD_HEAD ? METHOD_GET : request->method;
    for (uint32_t i = 0; i < site->admin->page_count; i++) {
        const struct admin_page *page = &site->admin->pages[i];
        if ((page->listeners & site->listener) != 0 && page->method == method && bytes_equal(bytes_from_text(page->path), request->path))
            return page;
    }
    return NULL;
}

static void refuse_unknown(struct site *site, struct admin_query *query) {
    struct bytes allow;
    if (methods_of(site, query->request->path, &allow) == 0) {
        refuse(query, 404, "no such page; / lists those that are");
        return;
    }
    rpc_reply_field(query->request, BYTES("Allow"), allow);
    refuse(query, 405, "not with this method");
}

static void start(struct admin_query *query) {
    struct admin *admin = query->admin;
    const struct admin_page *page = query->page;
    if (page->wants == 0 && page->command == ADMIN_NONE) {
        answer_now(query);
        return;
    }
    if (admin->queries >= ADMIN_QUERIES_MAX) {
        refuse(query, 503, "too many questions are waiting for the workers");
        return;
    }
    admin->queries++;
    query->wants = page->wants;
    if (page->command == ADMIN_NONE)
        admin->source->collect(admin->owner, query);
    else
        admin->source->command(admin->owner, query);
}

// More than to read figures: what may change something, or is none of ours; and who looks at requests of others.
static bool is_told(const struct admin_query *query) {
    const bool reads = query->request->method == METHOD_GET || query->request->method == METHOD_HEAD;
    return !reads || (query->page != NULL && (query->page->wants & ADMIN_WANT_TAP) != 0);
}

// In the query's pool, since whoever asks may be gone before it is done.
static struct admin_change *note_change(struct admin_query *query) {
    const struct rpc_request *request = query->request;
    struct admin_change *change = pool_alloc_zeroed(&query->pool, sizeof *change);
    char *peer = pool_alloc(&query->pool, ADDRESS_TEXT_MAX);
    const bool is_unix = request->peer->any.sa_family == AF_UNIX;
    const struct bytes target = pool_format(&query->pool, "?%.*s", BYTES_FORMAT(request->query));
    const struct bytes shown = redact_query(target, &query->pool);
    *change = (struct admin_change){
        .page = pool_copy(&query->pool, request->path),
        .method = method_text(request->method),
        .authority = pool_copy(&query->pool, request->authority),
        .arguments = bytes_from(shown.at + 1, shown.len - 1),
        .peer = is_unix ? BYTES("unix") : bytes_from(peer, address_print(request->peer, peer, ADDRESS_TEXT_MAX)),
        .has_process = is_unix && request->pid != 0,
        .uid = request->uid,
        .pid = request->pid,
    };
    return change;
}

static void on_request(void *owner, struct rpc_request *request) {
    struct site *site = owner;
    struct admin *admin = site->admin;
    struct admin_query *query = query_create(site, request);
    query->page = find_page(site, request);
    struct admin_refusal refused = {0};
    const bool changes = query->page != NULL && query->page->method != METHOD_GET; // where there is no such page there is nothing to change
    if (site->listener == ADMIN_ON_ADMIN) {
        refused = admin_access_check(request, changes, admin->source->token_file(admin->owner));
        query->change = refused.status != 0 || is_told(query) ? note_change(query) : NULL;
    }
    if (refused.status != 0) {
        if (refused.status == 401)
            rpc_reply_field(request, BYTES("WWW-Authenticate"), BYTES("Bearer"));
        refuse(query, refused.status, refused.reason);
    } else if (query->page == NULL) {
        refuse_unknown(site, query);
    } else {
        if (query->page->command != ADMIN_NONE)
            log_event(LOG_INFO, "admin_command", "path=%s", query->page->path);
        start(query);
    }
}

// It is out, or its client is gone.
static void on_over(void *owner, struct rpc_request *request) {
    (void)owner;
    struct admin_query *query = request->user;
    query->request = NULL; // the source still has it
    if (query->open_reply != NULL)
        query->open_reply->over(query);
}

static void on_writable(void *owner, struct rpc_request *request) {
    (void)owner;
    struct admin_query *query = request->user;
    query->open_reply->writable(query);
}

static const struct rpc_handler handler = {.request = on_request, .cancelled = on_over, .writable = on_writable, .ended = on_over};

// ---- life

static void open_site(struct admin *admin, struct site *site, enum admin_listener listener, int socket) {
    site->admin = admin;
    site->listener = listener;
    if (socket >= 0)
        site->server = rpc_server_open(admin->loop, socket, &handler, site);
}

struct admin *admin_open(struct loop *loop, const struct admin_options *options, const struct admin_source *source, void *owner) {
    struct admin *admin = alloc_zeroed_or_abort(1, sizeof(*admin));
    admin->loop = loop;
    admin->pages = options->pages;
    admin->page_count = options->page_count;
    admin->source = source;
    admin->owner = owner;
    task_init(&admin->release, admin_release);
    open_site(admin, &admin->sites[0], ADMIN_ON_ADMIN, options->admin_socket);
    open_site(admin, &admin->sites[1], ADMIN_ON_METRICS, options->metrics_socket);
    return admin;
}

void admin_close(struct admin *admin) {
    CHECK(!admin->closing);
    admin->closing = true;
    for (unsigned i = 0; i < 2; i++)
        if (admin->sites[i].server != NULL)
            rpc_server_close(admin->sites[i].server);
    release_when_done(admin);
}

void admin_stop_listening(struct admin *admin) {
    for (unsigned i = 0; i < 2; i++)
        if (admin->sites[i].server != NULL)
            rpc_server_stop_listening(admin->sites[i].server);
}

const struct admin_page *admin_pages(const struct admin *admin, uint32_t *count) {
    *count = admin->page_count;
    return admin->pages;
}

bool admin_is_ready(const struct admin *admin, struct bytes *reason) {
    return admin->source->ready(admin->owner, reason);
}

// Pages about the process itself: the list of pages, probes, versions, the log's level, and what the commands answer.
#include "admin/json_build.h"
#include "admin/pages.h"
#include "base/log.h"
#include "base/sanitized.h"
#include "config/document.h"

#include <jansson.h>
#include <llhttp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/crypto.h>
#include <uv.h>
#include <yaml.h>

static const char *const level_names[] = {[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

void page_list(struct admin_query *query) {
    uint32_t count;
    const struct admin_page *pages = admin_pages(query->admin, &count);
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) {
        if ((pages[i].listeners & query->listener) == 0)
            continue;
        json_t *row = json_object();
        json_set(row, "method", json_string(pages[i].method == METHOD_POST ? "POST" : "GET"));
        json_set(row, "path", json_string(pages[i].path));
        json_set(row, "description", json_string(pages[i].description));
        json_array_append_new(list, row);
    }
    admin_reply(query, 200, list);
}

static void reply_line(struct admin_query *query, uint16_t status, struct bytes line) {
    struct buffer text;
    admin_text_init(query, &text);
    buffer_append(&text, line);
    buffer_append(&text, BYTES("\n"));
    admin_reply_text(query, status, BYTES("text/plain; charset=utf-8"), &text);
}

void page_healthz(struct admin_query *query) {
    reply_line(query, 200, BYTES("ok"));
}

void page_readyz(struct admin_query *query) {
    struct bytes reason = BYTES("not ready");
    bool ready = admin_is_ready(query->admin, &reason);
    reply_line(query, ready ? 200 : 503, ready ? BYTES("ready") : reason);
}

static const char *build_kind(void) {
#ifdef NDEBUG
    return SANITIZED ? "release, with a sanitizer" : "release";
#else
    return SANITIZED ? "debug, with a sanitizer" : "debug";
#endif
}

// What documents it understands.
static json_t *kinds_value(void) {
    json_t *kinds = json_array();
    for (const struct kind *kind = config_kinds; kind->name != NULL; kind++)
        json_array_append_new(kinds, json_string(kind->name));
    return kinds;
}

void page_version(struct admin_query *query) {
    json_t *value = json_object();
    json_set(value, "outrigger", json_string(OUTRIGGER_VERSION));
    json_set(value, "build", json_string(build_kind()));
    json_set(value, "compiler", json_string(__VERSION__));
    json_set(value, "openssl", json_string(OpenSSL_version(OPENSSL_VERSION_STRING)));
    json_set(value, "nghttp2", json_string(nghttp2_version(0)->version_str));
    json_set(value, "llhttp", json_sprintf("%d.%d.%d", LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH));
    json_set(value, "libuv", json_string(uv_version_string()));
    json_set(value, "jansson", json_string(jansson_version_str()));
    json_set(value, "yaml", json_string(yaml_get_version_string()));
    json_set(value, "kinds", kinds_value());
    json_t *hardening = json_object();
    json_set_text(hardening, "seccomp", query->figures.hardening.seccomp);
    json_set_text(hardening, "landlock", query->figures.hardening.landlock);
    json_set(value, "hardening", hardening);
    admin_reply(query, 200, value);
}

void page_logging(struct admin_query *query) {
    json_t *value = json_object();
    json_set(value, "level", json_string(level_names[log_get_level()]));
    admin_reply(query, 200, value);
}

void page_set_logging(struct admin_query *query) {
    struct bytes wanted = admin_parameter(query, BYTES("level"));
    for (enum log_level level = LOG_DEBUG; level <= LOG_ERROR; level++)
        if (bytes_equal(wanted, bytes_from_text(level_names[level]))) {
            log_set_level(level);
            log_event(LOG_INFO, "log_level", "level=%s", level_names[level]);
            page_logging(query);
            return;
        }
    admin_reply_error(query, 400, "level is debug, info, warn or error");
}

void page_state(struct admin_query *query) {
    json_t *value = json_object();
    json_set_text(value, "state", query->figures.state);
    admin_reply(query, 202, value);
}

// "listener: what is wrong" of each gateway socket whose newest files are of no use.
static json_t *gateway_errors(struct admin_query *query) {
    const struct admin_identity *identity = &query->figures.identity;
    json_t *list = json_array();
    for (uint32_t i = 0; i < identity->edge_count; i++) {
        const struct admin_edge *edge = &identity->edges[i];
        if (edge->error.len > 0)
            json_array_append_new(list, json_text(pool_format(&query->pool, "%.*s: %.*s", BYTES_FORMAT(edge->listener), BYTES_FORMAT(edge->error))));
    }
    return list;
}

// The same of each set of CA certificates: its errors name the file.
static json_t *ca_errors(struct admin_query *query) {
    const struct admin_identity *identity = &query->figures.identity;
    json_t *list = json_array();
    for (uint32_t i = 0; i < identity->ca_set_count; i++)
        if (identity->ca_sets[i].error.len > 0)
            json_array_append_new(list, json_text(identity->ca_sets[i].error));
    return list;
}

// A list of what there is none of is left out.
static void set_or_leave_out(json_t *value, const char *name, json_t *list, bool has_any) {
    if (has_any)
        json_set(value, name, list);
    else
        json_decref(list);
}

void page_reloaded(struct admin_query *query) {
    const struct admin_config *config = &query->figures.config;
    const struct admin_identity *identity = &query->figures.identity;
    json_t *of_gateways = gateway_errors(query);
    json_t *of_ca_sets = ca_errors(query);
    bool refused = config->error_count > 0 || identity->error.len > 0 || json_array_size(of_gateways) > 0 || json_array_size(of_ca_sets) > 0;
    json_t *value = json_object();
    json_set(value, "result", json_string(refused ? "refused" : "accepted"));
    json_set_number(value, "generation", config->snapshot != NULL ? config->snapshot->generation : 0);
    json_set(value, "errors", json_lines(config->errors, config->error_count));
    json_set_text(value, "identity_error", identity->error);
    set_or_leave_out(value, "gateway_errors", of_gateways, identity->edge_count > 0);
    set_or_leave_out(value, "ca_errors", of_ca_sets, identity->ca_set_count > 0);
    json_set(value, "warnings", json_lines(config->warnings, config->warning_count));
    admin_reply(query, refused ? 422 : 200, value);
}

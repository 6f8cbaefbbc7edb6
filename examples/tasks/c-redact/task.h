/* The world postrider:task@1.0.0 for C, as the canonical ABI lays it out for wasm32. A task defines postrider_run and
 * includes this file once. Everything allocated lives as long as the instance: one attempt. */
#ifndef POSTRIDER_TASK_H
#define POSTRIDER_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* UTF-8 text, or bytes. Not ended by a zero. */
typedef struct {
  const char *at;
  size_t bytes;
} postrider_text;

#define POSTRIDER_TEXT(literal) ((postrider_text){(literal), sizeof(literal) - 1})

typedef struct {
  bool there;
  postrider_text value;
} postrider_optional_text;

typedef struct {
  bool there;
  uint64_t value;
} postrider_optional_u64;

typedef enum { POSTRIDER_VERY_LOW, POSTRIDER_LOW, POSTRIDER_NORMAL, POSTRIDER_HIGH } postrider_urgency;

typedef struct {
  bool there;
  uint8_t value; /* a postrider_urgency */
} postrider_optional_urgency;

/* One record of the log, and which attempt at it this is. The WIT file says what each field is. */
typedef struct {
  postrider_text id, tenant, recipient, source, type, content_type, content;
  postrider_optional_text metadata;
  uint8_t urgency; /* a postrider_urgency */
  uint64_t accepted, expires;
  uint32_t attempt;
  uint64_t time_limit_ms;
  postrider_text idempotency_token;
  postrider_optional_text traceparent;
} postrider_input;

/* A notification to be published. */
typedef struct {
  postrider_optional_text recipient;
  postrider_text type, content_type, content;
  postrider_optional_text metadata;
  postrider_optional_urgency urgency;
  postrider_optional_u64 ttl_ms;
} postrider_output;

enum { POSTRIDER_DONE, POSTRIDER_FAILED };
enum { POSTRIDER_RETRY, POSTRIDER_REJECT };

typedef struct {
  uint8_t result; /* POSTRIDER_DONE or POSTRIDER_FAILED */
  union {
    struct {
      const postrider_output *at;
      size_t count;
    } outputs;
    struct {
      uint8_t kind; /* POSTRIDER_RETRY or POSTRIDER_REJECT */
      union {
        struct {
          postrider_text reason;
          postrider_optional_u64 after_ms;
        } retry;
        postrider_text reject;
      };
    } failure;
  };
} postrider_answer;

_Static_assert(sizeof(postrider_input) == 128, "the layout of the canonical ABI");
_Static_assert(sizeof(postrider_output) == 72, "the layout of the canonical ABI");
_Static_assert(sizeof(postrider_answer) == 40, "the layout of the canonical ABI");

typedef enum { POSTRIDER_DEBUG, POSTRIDER_INFO, POSTRIDER_WARN, POSTRIDER_ERROR } postrider_level;

__attribute__((import_module("postrider:task/log@1.0.0"), import_name("write"))) void
postrider_log_write(int32_t level, const char *at, size_t bytes);

/* A line for whoever looks at the task later. */
static inline void postrider_log(postrider_level level, postrider_text text) {
  postrider_log_write(level, text.at, text.bytes);
}

/* The work: to be defined by the task. The answer must outlive the call. */
void postrider_run(const postrider_input *input, postrider_answer *answer);

__attribute__((export_name("run"))) postrider_answer *postrider_export_run(const postrider_input *input) {
  static postrider_answer answer;
  postrider_run(input, &answer);
  return &answer;
}

/* How the host finds room for what it hands in. */
__attribute__((export_name("cabi_realloc"))) void *postrider_export_realloc(void *old, size_t had, size_t align,
                                                                            size_t bytes) {
  (void)had, (void)align;
  void *at = bytes == 0 ? (void *)8 : realloc(old, bytes);
  if (at == NULL) __builtin_trap();
  return at;
}

#endif

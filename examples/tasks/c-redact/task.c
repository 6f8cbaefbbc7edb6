/* A task that hides long numbers, as of payment cards and accounts, in text and JSON: all but the last four digits of
 * twelve and more in a row, which may have single spaces or hyphens between them. Bind it as an enrichment, and no client
 * gets to see them. */
#include "task.h"

#include <string.h>

enum { LONG = 12, SHOWN = 4 };

static bool digit(char c) { return c >= '0' && c <= '9'; }

/* Whether the content type begins so. */
static bool begins(postrider_text text, const char *with) {
  size_t bytes = strlen(with);
  return text.bytes >= bytes && memcmp(text.at, with, bytes) == 0;
}

/* The end of the digits that begin at `from`, and how many there are. */
static size_t digits_end(const char *at, size_t from, size_t bytes, size_t *digits) {
  size_t end = from;
  *digits = 0;
  for (size_t i = from; i < bytes; i++) {
    if (digit(at[i])) {
      ++*digits;
      end = i + 1;
    } else if (!((at[i] == ' ' || at[i] == '-') && i == end)) {
      break;
    }
  }
  return end;
}

/* Hides them where they stand, and answers how many numbers those were. */
static size_t redact(char *at, size_t bytes) {
  size_t found = 0;
  for (size_t i = 0; i < bytes;) {
    if (!digit(at[i])) {
      i++;
      continue;
    }
    size_t digits, end = digits_end(at, i, bytes, &digits);
    if (digits >= LONG) {
      found++;
      for (size_t hidden = 0; hidden < digits - SHOWN; i++) {
        if (digit(at[i])) at[i] = 'x', hidden++;
      }
    }
    i = end;
  }
  return found;
}

void postrider_run(const postrider_input *input, postrider_answer *answer) {
  /* A number of JSON with letters in it would be none: only texts are rewritten there, see below. */
  bool json = begins(input->content_type, "application/json");
  if (!json && !begins(input->content_type, "text/")) {
    answer->result = POSTRIDER_FAILED;
    answer->failure.kind = POSTRIDER_REJECT;
    answer->failure.reject = POSTRIDER_TEXT("only text and JSON can be read");
    return;
  }
  char *content = malloc(input->content.bytes);
  if (content == NULL) __builtin_trap();
  memcpy(content, input->content.at, input->content.bytes);
  size_t found = 0, from = 0;
  bool inside = !json;
  for (size_t i = 0; i <= input->content.bytes; i++) {
    bool end = i == input->content.bytes;
    bool quote = json && !end && content[i] == '"';
    /* What is escaped ends no text, and its own digits are none of the text's. */
    bool escape = json && inside && !end && content[i] == '\\';
    if ((end || quote || escape) && inside) found += redact(content + from, i - from);
    if (quote) inside = !inside;
    if (escape) i += i + 1 < input->content.bytes && content[i + 1] == 'u' ? 5 : 1;
    if (quote || escape) from = i + 1;
  }
  if (found > 0) postrider_log(POSTRIDER_INFO, POSTRIDER_TEXT("hid a number"));

  static postrider_output output;
  output.type = input->type;
  output.content_type = input->content_type;
  output.content = (postrider_text){content, input->content.bytes};
  output.metadata = input->metadata;
  answer->result = POSTRIDER_DONE;
  answer->outputs.at = &output;
  answer->outputs.count = 1;
}

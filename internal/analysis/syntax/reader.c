#include "reader.h"
#include <stdlib.h>

// The part of tree-sitter's stable C interface that is used here. The library
// itself comes with the Go module go-tree-sitter; the symbols are weak because
// Go links each package on its own once, to look for what it imports, before it
// links the program.
typedef struct TSParser TSParser;
typedef struct TSTree TSTree;
typedef struct { uint32_t context[4]; const void *id; const TSTree *tree; } TSNode;
typedef struct { const void *tree; const void *id; uint32_t context[3]; } TSTreeCursor;

#define WEAK __attribute__((weak))
WEAK TSParser *ts_parser_new(void);
WEAK void ts_parser_delete(TSParser *);
WEAK _Bool ts_parser_set_language(TSParser *, const void *);
WEAK void ts_parser_set_timeout_micros(TSParser *, uint64_t);
WEAK TSTree *ts_parser_parse_string(TSParser *, const TSTree *, const char *, uint32_t);
WEAK void ts_tree_delete(TSTree *);
WEAK TSNode ts_tree_root_node(const TSTree *);
WEAK TSTreeCursor ts_tree_cursor_new(TSNode);
WEAK void ts_tree_cursor_delete(TSTreeCursor *);
WEAK TSNode ts_tree_cursor_current_node(const TSTreeCursor *);
WEAK uint16_t ts_tree_cursor_current_field_id(const TSTreeCursor *);
WEAK _Bool ts_tree_cursor_goto_first_child(TSTreeCursor *);
WEAK _Bool ts_tree_cursor_goto_next_sibling(TSTreeCursor *);
WEAK _Bool ts_tree_cursor_goto_parent(TSTreeCursor *);
WEAK uint32_t ts_node_start_byte(TSNode);
WEAK uint32_t ts_node_end_byte(TSNode);
WEAK uint16_t ts_node_symbol(TSNode);
WEAK _Bool ts_node_is_missing(TSNode);
WEAK void ts_set_allocator(void *(*)(size_t), void *(*)(size_t, size_t), void *(*)(void *, size_t), void (*)(void *));

void hub_plain_allocator(void) { ts_set_allocator(NULL, NULL, NULL, NULL); }

// take appends the cursor's node and returns its index, or -1 without memory.
static int32_t take(hub_tree *t, uint32_t *room, const TSTreeCursor *cur) {
  if (t->count == *room) {
    uint32_t more = *room ? *room * 2 : 1024;
    hub_node *nodes = realloc(t->nodes, (size_t)more * sizeof *nodes);
    if (!nodes) return -1;
    t->nodes = nodes;
    *room = more;
  }
  TSNode n = ts_tree_cursor_current_node(cur);
  hub_node *r = &t->nodes[t->count];
  r->start = ts_node_start_byte(n);
  r->end = ts_node_end_byte(n);
  r->kind = ts_node_symbol(n);
  r->field = ts_tree_cursor_current_field_id(cur);
  r->missing = r->start == r->end && ts_node_is_missing(n);
  return (int32_t)t->count++;
}

// walk copies the tree in preorder; open[d] is the node at depth d on the way.
static int walk(hub_tree *t, TSTreeCursor *cur, int32_t *open, uint32_t max_depth) {
  uint32_t depth = 0, room = 0;
  for (;;) {
    int32_t i = take(t, &room, cur);
    if (i < 0) return HUB_NO_MEMORY;
    if (ts_tree_cursor_goto_first_child(cur)) {
      if (depth == max_depth) return HUB_TOO_DEEP;
      open[depth++] = i;
      continue;
    }
    t->nodes[i].next = (int32_t)t->count;
    while (!ts_tree_cursor_goto_next_sibling(cur)) {
      if (depth == 0) return HUB_OK;
      ts_tree_cursor_goto_parent(cur);
      t->nodes[open[--depth]].next = (int32_t)t->count;
    }
  }
}

int hub_read(hub_tree *t, const void *language, const char *source, uint32_t length, uint64_t micros, uint32_t max_depth) {
  int status = HUB_NO_MEMORY;
  int32_t *open = malloc(max_depth * sizeof *open);
  TSParser *parser = ts_parser_new();
  if (open && parser) {
    status = HUB_TIMEOUT;
    ts_parser_set_timeout_micros(parser, micros);
    TSTree *tree = ts_parser_set_language(parser, language) ? ts_parser_parse_string(parser, NULL, source, length) : NULL;
    if (tree) {
      TSTreeCursor cur = ts_tree_cursor_new(ts_tree_root_node(tree));
      status = walk(t, &cur, open, max_depth);
      ts_tree_cursor_delete(&cur);
      ts_tree_delete(tree);
    }
  }
  if (parser) ts_parser_delete(parser);
  free(open);
  return status;
}

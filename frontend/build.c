/* Nodes for expressions, types and lists. Every node knows the depth of its tree; where it passes the limit, the
 * error is reported once and a leaf stands in for the node, so the tree stays safe to walk. */
#include "frontend/build.h"

static uint32_t deeper(uint32_t a, uint32_t b) { return a > b ? a : b; }
static uint32_t expr_depth(const AstExpr *e) { return e ? e->depth : 0; }
static uint32_t block_depth(const AstBlock *b) { return b ? b->depth : 0; }

static AstName name_of(const Parse *p, const Tok *t) { return (AstName){t->sym, tok_span(p, t)}; }

static AstExpr *leaf(Parse *p, AstExprKind kind, TdlSpan at) {
    AstExpr *e = ARENA_NEW(p->a, AstExpr);
    e->kind = kind;
    e->span = at;
    e->depth = 1;
    return e;
}

/* A node whose deepest child has depth `below`. */
static AstExpr *node(Parse *p, AstExprKind kind, TdlSpan at, uint32_t below) {
    AstExpr *e = leaf(p, kind, at);
    e->depth = below + 1;
    if (e->depth <= PARSE_MAX_DEPTH) return e;
    syntax_too_deep(p, at);
    return NULL;
}

/* What stands in for a node that would be too deep. */
static AstExpr *stand_in(Parse *p, TdlSpan at) { return leaf(p, AST_INT, at); }

static uint32_t items_depth(AstExprs items) {
    uint32_t d = 0;
    for (uint32_t i = 0; i < items.n; i++) d = deeper(d, items.p[i]->depth);
    return d;
}

AstExpr *bld_literal(Parse *p, AstExprKind kind, const Tok *t) {
    AstExpr *e = leaf(p, kind, tok_span(p, t));
    e->ival = t->ival;
    e->fval = t->fval;
    e->str = t->str;
    return e;
}

AstExpr *bld_name(Parse *p, const Tok *t) {
    AstExpr *e = leaf(p, AST_NAME, tok_span(p, t));
    e->name = name_of(p, t);
    return e;
}

AstExpr *bld_pack(Parse *p, TdlSpan at, const Tok *name) {
    AstExpr *e = leaf(p, AST_PACK, at);
    e->name = name_of(p, name);
    return e;
}

AstExpr *bld_unary(Parse *p, AstOp op, TdlSpan at, AstExpr *a) {
    AstExpr *e = node(p, AST_UNARY, at, a->depth);
    if (!e) return stand_in(p, at);
    e->op = op;
    e->a = a;
    return e;
}

AstExpr *bld_binary(Parse *p, AstOp op, TdlSpan op_at, AstExpr *a, AstExpr *b) {
    TdlSpan at = {p->file, a->span.lo, b->span.hi, op_at.lo};
    AstExpr *e = node(p, AST_BINARY, at, deeper(a->depth, b->depth));
    if (!e) return stand_in(p, at);
    e->op = op;
    e->a = a;
    e->b = b;
    return e;
}

AstExpr *bld_paren(AstExpr *e, TdlSpan at) {
    e->paren = true;
    e->span.lo = at.lo;
    e->span.hi = at.hi;
    return e;
}

AstExpr *bld_items(Parse *p, AstExprKind kind, TdlSpan at, AstExprs items) {
    AstExpr *e = node(p, kind, at, items_depth(items));
    if (!e) return stand_in(p, at);
    e->items = items;
    return e;
}

AstExpr *bld_range(Parse *p, TdlSpan dots, AstExpr *a, AstExpr *b) {
    AstExpr *e = bld_binary(p, AST_OP_ADD, dots, a, b);
    if (e->kind == AST_BINARY) e->kind = AST_RANGE;
    return e;
}

AstExpr *bld_slice(Parse *p, TdlSpan at, AstExpr *a, AstExpr *b, AstExpr *c) {
    AstExpr *e = node(p, AST_SLICE, at, deeper(expr_depth(a), deeper(expr_depth(b), expr_depth(c))));
    if (!e) return stand_in(p, at);
    e->a = a;
    e->b = b;
    e->c = c;
    return e;
}

AstExpr *bld_index(Parse *p, TdlSpan at, TdlSpan bracket, AstExpr *a, AstExprs items) {
    at.at = bracket.lo;
    AstExpr *e = node(p, AST_INDEX, at, deeper(a->depth, items_depth(items)));
    if (!e) return stand_in(p, at);
    e->a = a;
    e->items = items;
    return e;
}

AstExpr *bld_field(Parse *p, TdlSpan dot, AstExpr *a, const Tok *name) {
    TdlSpan at = {p->file, a->span.lo, name->hi, dot.lo};
    AstExpr *e = node(p, AST_FIELD, at, a->depth);
    if (!e) return stand_in(p, at);
    e->a = a;
    e->name.span = tok_span(p, name);
    /* the spelling serves an element's number as well: `t.0` */
    e->name.name = name->sym.id ? name->sym : intern_n(p->in, p->text + name->lo, name->hi - name->lo);
    return e;
}

AstExpr *bld_call(Parse *p, TdlSpan at, TdlSpan paren, AstExpr *callee, AstArgs args) {
    uint32_t below = callee->depth;
    for (uint32_t i = 0; i < args.n; i++) below = deeper(below, args.p[i].value->depth);
    bool method = callee->kind == AST_FIELD && !callee->paren;
    at.at = method ? callee->span.at : paren.lo;
    AstExpr *e = node(p, method ? AST_METHOD : AST_CALL, at, below);
    if (!e) return stand_in(p, at);
    e->a = method ? callee->a : callee;
    if (method) e->name = callee->name;
    e->args = args;
    return e;
}

/* The block that `e` is, when a block may stand for the expression; NULL otherwise. */
static AstBlock *plain_block(const AstExpr *e) {
    return e->kind == AST_BLOCK && !e->name.name.id && !e->paren ? e->block : NULL;
}

AstExpr *bld_gen(Parse *p, AstExprKind kind, TdlSpan at, AstExpr *body, AstGens gens, AstExpr *filter) {
    uint32_t below = deeper(body->depth, expr_depth(filter));
    for (uint32_t i = 0; i < gens.n; i++) below = deeper(below, gens.p[i].range->depth);
    if (kind == AST_COMP && filter) {
        diag_error(p->d, filter->span, "a tensor cannot be filtered: its shape would depend on its values");
        diag_note(p->d, at, "a reduction can: `sum(... if c)`; a tensor can hold `if c { value } else { 0 }`");
    }
    AstExpr *e = node(p, kind, at, below);
    if (!e) return stand_in(p, at);
    e->block = plain_block(body);
    e->a = e->block ? NULL : body;
    e->gens = gens;
    e->b = filter;
    return e;
}

AstExpr *bld_if(Parse *p, TdlSpan at, AstExpr *cond, AstBlock *then) {
    AstExpr *e = node(p, AST_IF, at, deeper(cond->depth, then->depth));
    if (!e) return stand_in(p, at);
    e->a = cond;
    e->block = then;
    return e;
}

AstExpr *bld_else(Parse *p, TdlSpan at, AstExpr *cond, AstBlock *other) {
    if (cond->kind != AST_IF) return cond;
    if (other->depth >= PARSE_MAX_DEPTH) {
        syntax_too_deep(p, at);
        return stand_in(p, at);
    }
    cond->block2 = other;
    cond->span.hi = at.hi;
    cond->depth = deeper(cond->depth, other->depth + 1);
    return cond;
}

AstExpr *bld_lambda(Parse *p, TdlSpan at, AstParams params, AstExpr *body) {
    AstExpr *e = node(p, AST_LAMBDA, at, body->depth);
    if (!e) return stand_in(p, at);
    e->params = params;
    e->block = plain_block(body);
    e->a = e->block ? NULL : body;
    return e;
}

AstExpr *bld_block_expr(Parse *p, AstBlock *b) {
    AstExpr *e = node(p, AST_BLOCK, b->span, block_depth(b));
    if (!e) return stand_in(p, b->span);
    e->block = b;
    return e;
}

AstExpr *bld_scoped(Parse *p, TdlSpan at, const Tok *word, AstBlock *b) {
    AstExpr *e = bld_block_expr(p, b);
    e->span = at;
    e->name = name_of(p, word);
    return e;
}

/* ---- lists ---- */

AstExprs bld_exprs(Parse *p, AstExprs list, AstExpr *e) {
    VEC_PUSH(p->a, list, e);
    return list;
}

AstExprs bld_first(Parse *p, AstExpr *first, AstExprs rest) {
    AstExprs list = {0};
    VEC_RESERVE(p->a, list, rest.n + 1);
    list.p[list.n++] = first;
    for (uint32_t i = 0; i < rest.n; i++) list.p[list.n++] = rest.p[i];
    return list;
}

AstArgs bld_args(Parse *p, AstArgs list, const Tok *name, AstExpr *e) {
    AstArg arg = {.value = e};
    if (name) arg.name = name_of(p, name);
    if (!name && list.n && VEC_LAST(list).name.name.id)
        diag_error(p->d, e->span, "an argument without a name follows one with a name");
    for (uint32_t i = 0; name && i < list.n; i++) {
        if (!sym_eq(list.p[i].name.name, name->sym)) continue;
        diag_error(p->d, arg.name.span, "argument `%s` is given twice", sym_text(p->in, name->sym));
        diag_note(p->d, list.p[i].name.span, "first given here");
        break;
    }
    VEC_PUSH(p->a, list, arg);
    return list;
}

AstArgs bld_gen_arg(Parse *p, AstExpr *gen) { return bld_args(p, (AstArgs){0}, NULL, gen); }

AstGens bld_gens(Parse *p, AstGens list, const Tok *name, AstExpr *range) {
    VEC_PUSH(p->a, list, ((AstGenFor){name_of(p, name), range}));
    return list;
}

AstNames bld_names(Parse *p, AstNames list, const Tok *name) {
    VEC_PUSH(p->a, list, name_of(p, name));
    return list;
}

/* ---- types and parameters ---- */

static AstType *type_node(Parse *p, AstTypeKind kind, TdlSpan at, uint32_t below) {
    AstType *t = ARENA_NEW(p->a, AstType);
    t->kind = kind;
    t->span = at;
    t->depth = below + 1;
    if (t->depth > PARSE_MAX_DEPTH) {
        syntax_too_deep(p, at);
        *t = (AstType){.kind = AST_TY_TUPLE, .span = at, .depth = 1};
    }
    return t;
}

AstType *bld_type_name(Parse *p, TdlSpan at, const Tok *name, bool has_dims, AstExprs dims) {
    AstType *t = type_node(p, AST_TY_NAME, at, items_depth(dims));
    if (t->kind != AST_TY_NAME) return t;
    t->name = name_of(p, name);
    t->has_dims = has_dims;
    t->dims = dims;
    return t;
}

AstType *bld_type_list(Parse *p, AstTypeKind kind, TdlSpan at, AstTypes elems, AstType *result) {
    uint32_t below = result ? result->depth : 0;
    for (uint32_t i = 0; i < elems.n; i++) below = deeper(below, elems.p[i]->depth);
    AstType *t = type_node(p, kind, at, below);
    if (t->depth != below + 1) return t;
    t->elems = elems;
    t->result = result;
    return t;
}

AstTypes bld_types(Parse *p, AstTypes list, AstType *t) {
    VEC_PUSH(p->a, list, t);
    return list;
}

AstParams bld_params(Parse *p, AstParams list, const Tok *name, AstType *t, AstExpr *deflt) {
    AstParam x = {.name = name_of(p, name), .type = t, .deflt = deflt};
    x.span = parse_span(p, name->lo, deflt ? deflt->span.hi : t ? t->span.hi : name->hi);
    for (uint32_t i = 0; i < list.n; i++) {
        if (!sym_eq(list.p[i].name.name, name->sym)) continue;
        diag_error(p->d, x.name.span, "`%s` is declared twice here", sym_text(p->in, name->sym));
        diag_note(p->d, list.p[i].name.span, "first declared here");
        break;
    }
    VEC_PUSH(p->a, list, x);
    return list;
}

AstGenerics bld_generics(Parse *p, AstGenerics list, const Tok *name, const Tok *bound, bool pack) {
    for (uint32_t i = 0; i < list.n; i++) {
        if (!sym_eq(list.p[i].name.name, name->sym)) continue;
        diag_error(p->d, tok_span(p, name), "`%s` is declared twice here", sym_text(p->in, name->sym));
        diag_note(p->d, list.p[i].name.span, "first declared here");
        break;
    }
    VEC_PUSH(p->a, list, ((AstGeneric){name_of(p, name), bound ? bound->sym : SYM_NONE, pack}));
    return list;
}

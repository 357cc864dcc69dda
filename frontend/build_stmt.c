/* Nodes for statements and declarations. */
#include "frontend/build.h"
#include "frontend/grammar.h"

static AstName name_of(const Parse *p, const Tok *t) { return (AstName){t->sym, tok_span(p, t)}; }

static AstStmt *stmt(Parse *p, AstStmtKind kind, TdlSpan at) {
    AstStmt *s = ARENA_NEW(p->a, AstStmt);
    s->kind = kind;
    s->span = at;
    return s;
}

AstStmt *bld_bind(Parse *p, AstStmtKind kind, TdlSpan at, AstNames pat, bool tuple, AstType *t, AstExpr *e) {
    AstStmt *s = stmt(p, kind, at);
    s->pat = pat;
    s->tuple_pat = tuple || pat.n > 1;
    s->type = t;
    s->e = e;
    return s;
}

/* What may be assigned to: a name, elements and fields of one, a tuple of such. */
static bool is_place(const AstExpr *e) {
    if (e->kind == AST_TUPLE) {
        for (uint32_t i = 0; i < e->items.n; i++)
            if (!is_place(e->items.p[i])) return false;
        return e->items.n > 0;
    }
    while ((e->kind == AST_INDEX || e->kind == AST_FIELD) && !e->paren) e = e->a;
    return e->kind == AST_NAME && !e->paren;
}

AstStmt *bld_assign(Parse *p, TdlSpan at, TdlSpan op_at, AstExpr *target, int op, AstExpr *e) {
    if (!is_place(target)) {
        diag_error(p->d, target->span, "cannot assign to this: only names, their elements and fields, and tuples of them change");
        if (target->kind == AST_BINARY && op < 0) diag_note(p->d, op_at, "`==` compares");
    }
    AstStmt *s = stmt(p, AST_ASSIGN, at);
    s->span.at = op_at.lo;
    s->target = target;
    s->has_op = op >= 0;
    s->op = op >= 0 ? (AstOp)op : AST_OP_ADD;
    s->e = e;
    return s;
}

/* The token at byte `lo`; tokens are in the order of the text. */
static const Tok *tok_at(const Parse *p, uint32_t lo) {
    uint32_t a = 0, b = p->toks.n - 1;
    while (a < b) {
        uint32_t m = (a + b) / 2;
        if (p->toks.p[m].lo < lo || p->toks.p[m].hi <= lo) a = m + 1;
        else b = m;
    }
    return &p->toks.p[a];
}

AstStmt *bld_expr_stmt(Parse *p, AstExpr *e) {
    const Tok *t = tok_at(p, e->span.lo);
    if (t->kind == T_MINUS && t > p->toks.p && t[-1].kind == T_SEP) {
        diag_error(p->d, tok_span(p, t), "a statement cannot begin with `-`");
        diag_note(p->d, parse_span(p, t[-1].lo, t[-1].lo),
                  "the statement above ends here: break a line after an operator, or inside parentheses");
    }
    bool scoped = e->kind == AST_BLOCK && e->name.name.id && !e->paren;
    AstStmt *s = stmt(p, scoped ? AST_SCOPED : AST_EXPR, e->span);
    if (scoped) {
        s->name = e->name;
        s->block = e->block;
    } else {
        s->e = e;
    }
    return s;
}

AstStmt *bld_simple(Parse *p, AstStmtKind kind, TdlSpan at, AstExpr *e, AstExpr *e2) {
    AstStmt *s = stmt(p, kind, at);
    s->e = e;
    s->e2 = e2;
    return s;
}

AstStmt *bld_for(Parse *p, TdlSpan at, const Tok *name, AstExpr *range, AstBlock *b) {
    AstStmt *s = stmt(p, AST_FOR, at);
    s->pat = bld_names(p, (AstNames){0}, name);
    s->e = range;
    s->block = b;
    return s;
}

AstStmt *bld_while(Parse *p, TdlSpan at, AstExpr *cond, AstBlock *b) {
    AstStmt *s = stmt(p, AST_WHILE, at);
    s->e = cond;
    s->block = b;
    return s;
}

AstStmt *bld_again(Parse *p, const Tok *word, AstStmt *loop) {
    loop->name = name_of(p, word);
    return loop;
}

AstStmt *bld_decl_stmt(Parse *p, AstDecl *d) {
    AstStmt *s = stmt(p, AST_DECL, d->span);
    s->decl = d;
    return s;
}

static uint32_t stmt_depth(const AstStmt *s) {
    uint32_t d = 0;
    const AstExpr *es[] = {s->target, s->e, s->e2};
    for (int i = 0; i < 3; i++)
        if (es[i] && es[i]->depth > d) d = es[i]->depth;
    if (s->type && s->type->depth > d) d = s->type->depth;
    return s->block && s->block->depth > d ? s->block->depth : d;
}

AstBlock *bld_block(Parse *p, AstBlock *b, AstStmt *s) {
    if (!b) b = ARENA_NEW(p->a, AstBlock);
    if (!s) return b;
    VEC_PUSH(p->a, b->stmts, s);
    b->span = span_join(b->span, s->span);
    uint32_t d = stmt_depth(s) + 1;
    if (d > b->depth) b->depth = d;
    if (d > PARSE_MAX_DEPTH) {
        syntax_too_deep(p, s->span);
        VEC_CLEAR(b->stmts);
        b->depth = 1;
    }
    return b;
}

AstBlock *bld_inner(Parse *p, AstBlock *b, AstStmt *s) {
    if (s && s->kind == AST_DECL) {
        diag_error(p->d, s->span, "a declaration stands at the top level of a file, not in a block");
        TdlSpan open = syntax_opener(p, tok_at(p, s->span.lo));
        if (open.file) diag_note(p->d, open, "is the `}` of this block missing?");
        s = NULL;
    }
    return bld_block(p, b, s);
}

AstBlock *bld_close(Parse *p, TdlSpan at, AstBlock *b) {
    b = bld_block(p, b, NULL);
    b->span = at;
    if (b->depth == 0) b->depth = 1;
    return b;
}

AstBlock *bld_block_of(Parse *p, AstExpr *e) {
    AstStmt *s = stmt(p, AST_EXPR, e->span);
    s->e = e;
    return bld_block(p, NULL, s);
}

/* ---- declarations ---- */

static AstDecl *decl(Parse *p, AstDeclKind kind, TdlSpan at) {
    AstDecl *d = ARENA_NEW(p->a, AstDecl);
    d->kind = kind;
    d->span = at;
    d->doc = tok_at(p, at.lo)->doc;
    return d;
}

static AstDecl *fn_decl(Parse *p, AstDeclKind kind, TdlSpan at, const Tok *name, AstGenerics g, AstParams ps) {
    AstDecl *d = decl(p, kind, at);
    d->name = name_of(p, name);
    d->generics = g;
    d->params = ps;
    return d;
}

AstDecl *bld_fn(Parse *p, TdlSpan at, const Tok *name, AstGenerics g, AstParams ps, AstType *result, AstBlock *body) {
    AstDecl *d = fn_decl(p, AST_FN, at, name, g, ps);
    d->result = result;
    d->body = body;
    return d;
}

AstDecl *bld_extern(Parse *p, TdlSpan at, const Tok *name, AstGenerics g, AstParams ps, AstType *result, const Tok *sym) {
    AstDecl *d = fn_decl(p, AST_EXTERN, at, name, g, ps);
    d->result = result;
    d->extern_symbol = sym ? sym->str : NULL;
    return d;
}

AstDecl *bld_struct(Parse *p, TdlSpan at, const Tok *name, AstGenerics g, AstParams fields) {
    return fn_decl(p, AST_STRUCT, at, name, g, fields);
}

AstDecl *bld_use(Parse *p, TdlSpan at, const Tok *path) {
    AstDecl *d = decl(p, AST_USE, at);
    d->path = path->str;
    return d;
}

AstDecl *bld_input(Parse *p, TdlSpan at, const Tok *name, AstType *t) {
    AstDecl *d = decl(p, AST_INPUT, at);
    d->name = name_of(p, name);
    d->result = t;
    return d;
}

AstDecl *bld_let_decl(Parse *p, TdlSpan at, const Tok *name, AstExpr *e) {
    AstDecl *d = decl(p, AST_LETDECL, at);
    d->name = name_of(p, name);
    d->e = e;
    return d;
}

AstDecl *bld_exported(Parse *p, AstDecl *d, TdlSpan at) {
    d->exported = true;
    d->span = at;
    const char *doc = tok_at(p, at.lo)->doc;
    if (doc) d->doc = doc;
    return d;
}

AstDecl *bld_attr(Parse *p, TdlSpan at, const Tok *name, AstDecl *d) {
    AstNames attrs = bld_names(p, (AstNames){0}, name); /* the one written first comes first */
    for (uint32_t i = 0; i < d->attrs.n; i++) VEC_PUSH(p->a, attrs, d->attrs.p[i]);
    d->attrs = attrs;
    d->span = at;
    const char *doc = tok_at(p, at.lo)->doc;
    if (doc) d->doc = doc;
    return d;
}

AstDecl *bld_derivative(Parse *p, TdlSpan at, const Tok *name, AstGenerics g, AstParams ps, AstNames results, AstDecl *items) {
    AstDecl *d = fn_decl(p, AST_DERIVATIVE, at, name, g, ps);
    d->results = results;
    if (!items) return d;
    d->partials = items->partials;
    d->reverse = items->reverse;
    d->forward = items->forward;
    d->body = items->body;
    return d;
}

AstDecl *bld_partial(Parse *p, const Tok *name, AstExpr *e) {
    AstDecl *d = ARENA_NEW(p->a, AstDecl);
    AstPartial x = {.name = name_of(p, name)};
    bool block = e->kind == AST_BLOCK && !e->name.name.id && !e->paren;
    x.block = block ? e->block : NULL;
    x.value = block ? NULL : e;
    VEC_PUSH(p->a, d->partials, x);
    return d;
}

AstDecl *bld_sweep(Parse *p, const Tok *word, AstBlock *b) {
    AstDecl *d = ARENA_NEW(p->a, AstDecl);
    *(word->kind == T_REVERSE ? &d->reverse : &d->forward) = b;
    d->span = tok_span(p, word);
    return d;
}

AstDecl *bld_shared(Parse *p, AstStmt *s) {
    AstDecl *d = ARENA_NEW(p->a, AstDecl);
    d->body = bld_block(p, NULL, s);
    return d;
}

AstDecl *bld_join(Parse *p, AstDecl *items, AstDecl *more) {
    if (!items || !more) return items ? items : more;
    for (uint32_t i = 0; i < more->partials.n; i++) {
        AstPartial *x = &more->partials.p[i];
        for (uint32_t j = 0; j < items->partials.n; j++) {
            if (!sym_eq(items->partials.p[j].name.name, x->name.name)) continue;
            diag_error(p->d, x->name.span, "the partial of `%s` is given twice", sym_text(p->in, x->name.name));
            diag_note(p->d, items->partials.p[j].name.span, "first given here");
        }
        VEC_PUSH(p->a, items->partials, *x);
    }
    if ((more->reverse && items->reverse) || (more->forward && items->forward))
        diag_error(p->d, more->span, "a second `%s` block", more->reverse ? "reverse" : "forward");
    if (more->reverse) items->reverse = more->reverse;
    if (more->forward) items->forward = more->forward;
    for (uint32_t i = 0; more->body && i < more->body->stmts.n; i++)
        items->body = bld_block(p, items->body, more->body->stmts.p[i]);
    return items;
}

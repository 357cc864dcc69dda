/* The calls of the grammar: each makes one node, or adds one to a list. Spans come from the grammar's locations. */
#ifndef TDL_FRONTEND_BUILD_H
#define TDL_FRONTEND_BUILD_H

#include "frontend/parse.h"

/* ---- expressions ---- */
AstExpr *bld_literal(Parse *p, AstExprKind kind, const Tok *t);
AstExpr *bld_name(Parse *p, const Tok *t);
AstExpr *bld_pack(Parse *p, TdlSpan at, const Tok *name);
AstExpr *bld_unary(Parse *p, AstOp op, TdlSpan at, AstExpr *a);
AstExpr *bld_binary(Parse *p, AstOp op, TdlSpan op_at, AstExpr *a, AstExpr *b);
AstExpr *bld_paren(AstExpr *e, TdlSpan at);
AstExpr *bld_items(Parse *p, AstExprKind kind, TdlSpan at, AstExprs items); /* TUPLE, ARRAY */
AstExpr *bld_range(Parse *p, TdlSpan dots, AstExpr *a, AstExpr *b);
AstExpr *bld_slice(Parse *p, TdlSpan at, AstExpr *a, AstExpr *b, AstExpr *c);
AstExpr *bld_index(Parse *p, TdlSpan at, TdlSpan bracket, AstExpr *a, AstExprs items);
AstExpr *bld_field(Parse *p, TdlSpan dot, AstExpr *a, const Tok *name);
/* `a.f` called is a method call. */
AstExpr *bld_call(Parse *p, TdlSpan at, TdlSpan paren, AstExpr *callee, AstArgs args);
/* A generator's body may be a block; `kind` is AST_COMP or AST_GEN. */
AstExpr *bld_gen(Parse *p, AstExprKind kind, TdlSpan at, AstExpr *body, AstGens gens, AstExpr *filter);
AstExpr *bld_if(Parse *p, TdlSpan at, AstExpr *cond, AstBlock *then);
AstExpr *bld_else(Parse *p, TdlSpan at, AstExpr *cond, AstBlock *other);
AstExpr *bld_lambda(Parse *p, TdlSpan at, AstParams params, AstExpr *body);
AstExpr *bld_block_expr(Parse *p, AstBlock *b);
AstExpr *bld_scoped(Parse *p, TdlSpan at, const Tok *word, AstBlock *b);

AstExprs bld_exprs(Parse *p, AstExprs list, AstExpr *e);
AstExprs bld_first(Parse *p, AstExpr *first, AstExprs rest);
AstArgs bld_args(Parse *p, AstArgs list, const Tok *name, AstExpr *e);
AstArgs bld_gen_arg(Parse *p, AstExpr *gen);
AstGens bld_gens(Parse *p, AstGens list, const Tok *name, AstExpr *range);
AstNames bld_names(Parse *p, AstNames list, const Tok *name);

/* ---- types, parameters ---- */
AstType *bld_type_name(Parse *p, TdlSpan at, const Tok *name, bool has_dims, AstExprs dims);
AstType *bld_type_list(Parse *p, AstTypeKind kind, TdlSpan at, AstTypes elems, AstType *result);
AstTypes bld_types(Parse *p, AstTypes list, AstType *t);
AstParams bld_params(Parse *p, AstParams list, const Tok *name, AstType *t, AstExpr *deflt);
AstGenerics bld_generics(Parse *p, AstGenerics list, const Tok *name, const Tok *bound, bool pack);

/* ---- statements ---- */
AstStmt *bld_bind(Parse *p, AstStmtKind kind, TdlSpan at, AstNames pat, bool tuple, AstType *t, AstExpr *e);
AstStmt *bld_assign(Parse *p, TdlSpan at, TdlSpan op_at, AstExpr *target, int op, AstExpr *e); /* op: AstOp, -1: none */
AstStmt *bld_expr_stmt(Parse *p, AstExpr *e);
AstStmt *bld_simple(Parse *p, AstStmtKind kind, TdlSpan at, AstExpr *e, AstExpr *e2); /* RETURN BREAK CONTINUE ASSERT */
AstStmt *bld_for(Parse *p, TdlSpan at, const Tok *name, AstExpr *range, AstBlock *b);
AstStmt *bld_again(Parse *p, const Tok *word, AstStmt *loop); /* a loop under `checkpoint` */
AstStmt *bld_while(Parse *p, TdlSpan at, AstExpr *cond, AstBlock *b);
AstStmt *bld_decl_stmt(Parse *p, AstDecl *d);
/* NULL statements (those with errors) are left out. */
AstBlock *bld_block(Parse *p, AstBlock *b, AstStmt *s);
/* The same inside { }: declarations are an error there. */
AstBlock *bld_inner(Parse *p, AstBlock *b, AstStmt *s);
AstBlock *bld_close(Parse *p, TdlSpan at, AstBlock *b);
AstBlock *bld_block_of(Parse *p, AstExpr *e);

/* ---- declarations ---- */
AstDecl *bld_fn(Parse *p, TdlSpan at, const Tok *name, AstGenerics g, AstParams ps, AstType *result, AstBlock *body);
AstDecl *bld_extern(Parse *p, TdlSpan at, const Tok *name, AstGenerics g, AstParams ps, AstType *result, const Tok *sym);
AstDecl *bld_struct(Parse *p, TdlSpan at, const Tok *name, AstGenerics g, AstParams fields);
AstDecl *bld_use(Parse *p, TdlSpan at, const Tok *path);
AstDecl *bld_input(Parse *p, TdlSpan at, const Tok *name, AstType *t);
AstDecl *bld_let_decl(Parse *p, TdlSpan at, const Tok *name, AstExpr *e);
AstDecl *bld_exported(Parse *p, AstDecl *d, TdlSpan at);
AstDecl *bld_attr(Parse *p, TdlSpan at, const Tok *name, AstDecl *d);
AstDecl *bld_derivative(Parse *p, TdlSpan at, const Tok *name, AstGenerics g, AstParams ps, AstNames results, AstDecl *items);
/* The items of a derivative's braces, each in a declaration of its own; bld_join gathers them (NULL: an item with
 * an error). */
AstDecl *bld_partial(Parse *p, const Tok *name, AstExpr *e);
AstDecl *bld_sweep(Parse *p, const Tok *word, AstBlock *b);
AstDecl *bld_shared(Parse *p, AstStmt *s);
AstDecl *bld_join(Parse *p, AstDecl *items, AstDecl *more);

#endif

/* Owns the way from a parameter to what the manual says about it. A file of its own, so
 * that only a program that asks carries those texts. */
#include "conf/params.h"

const struct conf_doc *
conf_doc_of(const struct conf_param *p)
{
	/* Both tables are arrays of one kind: which one `p` is in shows by its address.
	 */
	if ((uintptr_t)p >= (uintptr_t)conf_templates &&
	    (uintptr_t)p < (uintptr_t)(conf_templates + conf_n_templates))
		return &conf_template_docs[p - conf_templates];
	return &conf_param_docs[p - conf_params];
}

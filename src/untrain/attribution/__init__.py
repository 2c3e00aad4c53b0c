"""Attribution: queries × catalogue → scores; higher means that removal makes the query worse."""

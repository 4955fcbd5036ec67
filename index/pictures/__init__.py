"""Pictures of answers: the arrays behind every chart, and the charts themselves."""

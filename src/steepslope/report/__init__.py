"""What people look at: the table in Markdown and in the terminal, plots, and a page that holds them all."""

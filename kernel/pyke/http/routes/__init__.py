"""Who answers what: a module and a table for each family of Docker's API."""
